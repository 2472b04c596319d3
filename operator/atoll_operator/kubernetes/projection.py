"""Temporary."""

from dataclasses import dataclass
from typing import Any

from atoll_api import names
from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.training_jobs import seconds_of


@dataclass(frozen=True)
class JobFacts:
    owner: Key
    owner_uid: str
    name: str
    uid: str
    deleting: bool
    complete: bool
    failed: bool
    message: str
    started: float | None
    counted: int
    completed_indexes: str
    failed_indexes: str


@dataclass(frozen=True)
class PodFacts:
    owner: Key
    owner_uid: str
    name: str
    job: str
    index: int | None
    phase: str
    exit_code: int | None
    message: str
    disrupted: bool
    started: float | None
    created: float
    restarts: int
    ready: bool
    deleting: bool


@dataclass(frozen=True)
class SetFacts:
    owner: Key
    owner_uid: str
    name: str
    uid: str
    replicas: int
    ready: int


def owner_key(facts: Any) -> Key:
    return facts.owner


def _common(body: Json) -> tuple[Key, str] | None:
    metadata = body["metadata"]
    job = metadata.get("labels", {}).get(names.LABEL_JOB)
    if job is None:
        return None
    owner = next((it["uid"] for it in metadata.get("ownerReferences", ())), "")
    return Key(metadata["namespace"], job), owner


def job_facts(body: Json) -> JobFacts | None:
    known = _common(body)
    if known is None:
        return None
    status, metadata = body.get("status", {}), body["metadata"]
    conditions = {it["type"]: it for it in status.get("conditions", ()) if it["status"] == "True"}
    return JobFacts(
        *known, metadata["name"], metadata["uid"], "deletionTimestamp" in metadata,
        "Complete" in conditions, "Failed" in conditions,
        conditions.get("Failed", {}).get("message", ""),
        seconds_of(status["startTime"]) if "startTime" in status else None,
        status.get("failed", 0), status.get("completedIndexes", ""), status.get("failedIndexes", ""),
    )  # fmt: skip


def pod_facts(body: Json) -> PodFacts | None:
    known = _common(body)
    if known is None:
        return None
    status, metadata = body.get("status", {}), body["metadata"]
    labels = metadata.get("labels", {})
    containers = status.get("containerStatuses", ())
    state = containers[0].get("state", {}) if containers else {}
    ended, waiting, running = (state.get(it) or {} for it in ("terminated", "waiting", "running"))
    index = labels.get("batch.kubernetes.io/job-completion-index")
    scheduled = next(
        (
            c
            for c in status.get("conditions", ())
            if c["type"] == "PodScheduled" and c["status"] == "False"
        ),
        {},
    )
    words = ended.get("message") or ended.get("reason") or ""
    if waiting:
        words = f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": ")
    if scheduled:
        words = f"{scheduled.get('reason')}: {scheduled.get('message')}"
    lines = [line for line in words.splitlines() if line.strip()]
    begun = running.get("startedAt")
    conditions = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
    return PodFacts(
        *known, metadata["name"], labels.get("batch.kubernetes.io/job-name", ""),
        None if index is None else int(index), status.get("phase", "Pending"),
        ended.get("exitCode"), lines[-1] if lines else "", "DisruptionTarget" in conditions,
        seconds_of(begun) if begun else None, seconds_of(metadata["creationTimestamp"]),
        containers[0].get("restartCount", 0) if containers else 0, "Ready" in conditions,
        "deletionTimestamp" in metadata,
    )  # fmt: skip


def set_facts(body: Json) -> SetFacts | None:
    known = _common(body)
    if known is None:
        return None
    metadata = body["metadata"]
    return SetFacts(
        *known,
        metadata["name"],
        metadata["uid"],
        body["spec"].get("replicas", 1),
        body.get("status", {}).get("readyReplicas", 0),
    )


def indexes(text: str) -> set[int]:
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        found |= set(range(int(low), int(high or low) + 1))
    return found
