"""A TrainingJob as the API server has it, reduced to what the operator needs. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from atoll_api import names
from atoll_api.problems import InvalidJobError, parse_job
from atoll_api.spec import TrainingJob, TrainingJobSpec
from atoll_api.status import TrainingJobStatus
from atoll_operator.kubernetes.api import Json, Key


@dataclass(frozen=True)
class JobView:
    """One version of a TrainingJob."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    created_at: float
    """Seconds since the epoch."""
    deleting: bool
    labels: Mapping[str, str]
    strategy: str
    """Its type, as it was written."""
    suspended: bool
    spec: bytes
    """JSON: a tenth of what it takes as objects, which would be held for every job there is."""
    told: bytes
    """The status, likewise; empty before the first."""

    @property
    def status(self) -> TrainingJobStatus | None:
        """None before the first, and where it cannot be read."""
        return _status(self.told)

    def parse(self) -> TrainingJob:
        """The job as the types have it.

        Raises:
            InvalidJobError: with all its problems.
        """
        return parse_job(self.document())

    def document(self) -> Json:
        """What a user would have written."""
        namespace, name = self.key
        metadata = {"name": name, "namespace": namespace, "labels": dict(self.labels)}
        kind = {"apiVersion": names.API_VERSION, "kind": names.KIND}
        return {**kind, "metadata": metadata, "spec": json.loads(self.spec)}


def view_of(body: Mapping[str, Any]) -> JobView:
    """Read one object; only what an API server guarantees is taken for granted."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    return JobView(
        key=Key(metadata.get("namespace", ""), metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata.get("resourceVersion", ""),
        generation=metadata.get("generation", 1),
        created_at=seconds_of(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        labels=dict(metadata.get("labels") or {}),
        strategy=str((spec.get("strategy") or {}).get("type", "")),
        suspended=bool(spec.get("suspend")),
        spec=_text(spec),
        told=_text(body["status"]) if body.get("status") else b"",
    )


def current(accepted: TrainingJobSpec, live: TrainingJobSpec) -> TrainingJobSpec:
    """The job as it was accepted, with what may change after that."""
    islands = accepted.islands.model_copy(update={"quorum": live.islands.quorum})
    changed = {"suspend": live.suspend, "run_policy": live.run_policy, "islands": islands}
    return accepted.model_copy(update=changed)


def problems_of(error: InvalidJobError) -> str:
    """All problems of a job in one line."""
    return "; ".join(str(problem) for problem in error.problems)


def seconds_of(timestamp: str) -> float:
    """Of RFC 3339."""
    return datetime.fromisoformat(timestamp).timestamp()


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(document), separators=(",", ":")).encode()


@lru_cache(maxsize=64)  # one pass looks at it many times
def _status(text: bytes) -> TrainingJobStatus | None:
    if not text:
        return None
    try:
        return TrainingJobStatus.from_document(json.loads(text))
    except ValidationError:  # of another version, or by another hand: it is written anew
        return None
