"""A job as a cluster has accepted it: the one document that its processes compute their orders from.

Where things lie in a pod is said here too: who builds a pod and who runs in it agree.
"""

from typing import Final, Literal

from pydantic import ValidationError

from atoll_api import names
from atoll_api.base import FrozenModel
from atoll_api.hub_order import (
    SCHEMA_VERSION,
    HubOrder,
    IdentityFiles,
    JobIdentity,
    read,
    refusal,
)
from atoll_api.names import Process
from atoll_api.ordering import HubPlace, Place, hub_order, work_order
from atoll_api.spec import TrainingJobSpec
from atoll_api.work_order import WorkOrder

JOB_FOLDER: Final = "/etc/atoll/job"
"""Where the job's ConfigMap is mounted."""
JOB_FILE: Final = "job.json"
HUB_FILE: Final = "hub.json"
AUTHORITY_FILE: Final = "ca.crt"
IDENTITY_FOLDER: Final = "/etc/atoll/identity"
"""Where a process finds its own certificate and key, and nobody else's."""
CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"
STORE_FOLDER: Final = "/var/lib/atoll"
"""Where a hub keeps artifacts."""
SCRATCH_FOLDER: Final = "/scratch"
"""Of every process: its root is read-only."""
CLUSTER_STARTUP_SECONDS: Final = 24 * 3600
"""How long a process waits for the hub: the first step is started with it, and a node for it may
take long to be found. A hub that cannot be is the operator's to see; giving up here would count
as a failure of the step."""
RESERVED_FOLDERS: Final = ("/etc/atoll", STORE_FOLDER, SCRATCH_FOLDER)
"""No volume of a user's is mounted in, on or above them."""
ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 (policies say who may connect, certificates who may speak)


class ResolvedJob(FrozenModel):
    """A job with every default filled in, and where its parts are."""

    schema_version: Literal[1] = SCHEMA_VERSION
    job: JobIdentity
    namespace: str
    spec: TrainingJobSpec
    image: str
    """Of all its processes whose template names none: what the operator had at acceptance."""
    fingerprint: str
    """Of the authority of its certificates; a part of the names of its Secrets."""

    @property
    def hub(self) -> str:
        """HOST:PORT of the hub."""
        return f"{names.hub_object(self.job.name)}.{self.namespace}.svc:{names.HUB_PORT}"


def parse(text: str | bytes) -> ResolvedJob:
    """Read the document from JSON.

    Raises:
        WorkOrderError: for another schema version, or a document that is no such job.
    """
    read(text)
    try:
        return ResolvedJob.model_validate_json(text)
    except ValidationError as error:
        raise refusal(error) from error


def order_of(resolved: ResolvedJob, process: Process) -> WorkOrder:
    """The order of one process of a step, in its pod."""
    service = names.islands_object(resolved.job.name)
    pod = f"{service}-{process.index}.{service}.{resolved.namespace}.svc"
    place = Place(
        hub=resolved.hub,
        report_folder=f"{SCRATCH_FOLDER}/report",
        identity=identity_files(),
        listen=ALL_ADDRESSES,
        listen_port=names.ISLAND_PORT,
        advertised=f"{pod}:{names.ISLAND_PORT}",
        publish_page=True,
        startup_seconds=CLUSTER_STARTUP_SECONDS,
    )
    return work_order(resolved.job, resolved.spec, process, place)


def order_of_hub(resolved: ResolvedJob) -> HubOrder:
    """The order of the hub, in its pod."""
    place = HubPlace(
        folder=STORE_FOLDER,
        ready_file=f"{SCRATCH_FOLDER}/ready",
        identity=identity_files(),
        host=ALL_ADDRESSES,
        port=names.HUB_PORT,
        holder=f"{resolved.namespace}/{resolved.job.name}",
    )
    return hub_order(resolved.job, resolved.spec, place)


def identity_files() -> IdentityFiles:
    """Where any process of a cluster finds what it proves itself with."""
    return IdentityFiles(
        certificate=f"{IDENTITY_FOLDER}/{CERTIFICATE_FILE}",
        key=f"{IDENTITY_FOLDER}/{KEY_FILE}",
        authority=f"{JOB_FOLDER}/{AUTHORITY_FILE}",
    )
