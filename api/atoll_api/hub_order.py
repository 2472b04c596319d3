"""What every work order says, and the order of the hub, which says little more.

Apart from the other orders, for a hub's process imports this and none of the spec: that is 4 MB
of its memory and a sixth of its time to start. Imports nothing of `spec`.
"""

import json
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from atoll_api import names
from atoll_api.base import FrozenModel, shown

SCHEMA_VERSION: Final = 1


class WorkOrderError(ValueError):
    """A work order that this version cannot read."""


class JobIdentity(FrozenModel):
    """Which job a process works for."""

    name: str
    uid: str


class IdentityFiles(FrozenModel):
    """Where a process finds the proof of who it is, in PEM; its key is for its eyes alone."""

    certificate: str
    key: str
    authority: str
    """The certificate of the authority that all processes of the job trust."""


NOBODY: Final = IdentityFiles(certificate="", key="", authority="")
"""For a role that runs within another process and dials nobody; no hub would listen to it."""


class Order(FrozenModel):
    """What every work order says."""

    schema_version: Literal[1] = SCHEMA_VERSION
    job: JobIdentity
    step: str
    """Name of the step, as in `names`; also the name under which progress is reported."""
    identity: IdentityFiles
    role: str
    """What the process is; each kind of order fixes its own."""


class FolderStore(FrozenModel):
    """Artifacts are files below a folder."""

    type: Literal["Folder"] = "Folder"
    folder: str


class BucketStore(FrozenModel):
    """Artifacts are objects of a bucket. Credentials stand in the hub's environment, never here."""

    type: Literal["Bucket"] = "Bucket"
    bucket: str
    prefix: str
    """Of this job alone."""
    endpoint: str | None = None
    """Amazon's when None."""
    region: str | None = None
    spool: str
    """A folder for what is being received."""
    holder: str
    """Names this hub to another one that wants the same prefix; the same after a restart."""


ArtifactStore = Annotated[FolderStore | BucketStore, Field(discriminator="type")]


class HubOrder(Order):
    """Keep artifacts and progress."""

    role: Literal["hub"] = "hub"
    store: ArtifactStore
    quota_bytes: int | None = Field(default=None, ge=1)
    """What the artifacts of the job may take; None: what the disk holds."""
    neighbours: tuple[tuple[int, ...], ...] = ()
    """For each island, those whose snapshots it reads; () where islands exchange nothing."""
    everybody: int = Field(default=0, ge=0)
    """So many islands that read each other, all of them: as `neighbours` a thousand would be 4 MB,
    which no object of a cluster may be."""
    halves: int = Field(default=0, ge=0)
    """So many islands, of which even ones read all odd ones, and the other way round: likewise."""
    common_basis: bool = False
    """Whether every island reads the first snapshot of any other, to align itself to."""
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 lets the system choose."""
    ready_file: str
    """Written, by rename, as `{"address": "HOST:PORT", "pid": N}` once the hub serves."""

    @property
    def around(self) -> tuple[Collection[int], ...]:
        """For each island, whom it reads; it may be among them itself. A hub holds what is here."""
        everybody, halves = range(self.everybody), range(self.halves)
        return self.neighbours or (
            *(everybody for _ in everybody),
            *(halves[1 - island % 2 :: 2] for island in halves),
        )


def read(text: str | bytes) -> dict[str, Any]:
    """The document of a work order of any role, if it is one of this schema version.

    Raises:
        WorkOrderError: it is not.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkOrderError(f"the work order is not JSON: {error}") from error
    version = document.get("schemaVersion") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise WorkOrderError(
            f"the work order has schema version {shown(version)}, this worker reads {SCHEMA_VERSION}: "
            "run the worker of the same Atoll release as the operator"
        )
    return dict(document)


def parse(text: str | bytes) -> HubOrder:
    """Read the order of a hub from JSON.

    Raises:
        WorkOrderError: for another schema version, or a document that is no hub's order.
    """
    read(text)
    try:
        return HubOrder.model_validate_json(text)
    except ValidationError as error:
        raise refusal(error, names.HUB) from error


def refusal(error: ValidationError, *root: str) -> WorkOrderError:
    """The first problem of an order, with the path to it."""
    first = error.errors()[0]
    path = ".".join(f"{part:.60}" for part in map(str, (*root, *first["loc"])))
    return WorkOrderError(f"the work order is not valid at {path}: {first['msg']:.300}")
