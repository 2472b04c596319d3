"""Objects of a job as small values: what is needed of each to say what became of a step. Pure.

The inverse of `manifests`. A value is all that is kept of an object, so it holds no more than
`children` reads. Whatever an API server sends is read: what is missing has its default.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from atoll_api import names
from atoll_api.exit_codes import NOT_COUNTED
from atoll_api.names import Process
from atoll_operator.kubernetes.manifests.pods import CONTAINER
from atoll_operator.kubernetes.training_jobs import seconds_of
from atoll_operator.last_words import MESSAGE_BYTES, last_words

Json = Mapping[str, Any]
Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]

INDEX_FAILURES: Final = "batch.kubernetes.io/job-index-failure-count"
"""An annotation of a pod: how often its index has failed before it. Disruptions do not count."""
_IMAGE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_UNBOUND: Final = ("unbound immediate PersistentVolumeClaims", 'plugin "VolumeBinding"')
"""The scheduler's words where a claim is there and not bound: one that is at once, or for a node."""
_ON_THE_WAY: Final = frozenset({"ContainerCreating", "PodInitializing"})
MAKING: Final = "its container is being made"
"""What is said of a pod that waits for nothing but a moment."""


@dataclass(frozen=True, slots=True)
class Owned:
    """What every object of a job says of itself."""

    namespace: str
    name: str
    uid: str
    owner_uid: str
    """Of the one object that it belongs to: the TrainingJob, or for a pod its Job or its set."""
    job: str
    """The TrainingJob."""
    role: str
    deleting: bool


@dataclass(frozen=True, slots=True)
class SeenJob(Owned):
    """A Job."""

    island: int | None
    count: int | None
    """Of its indexes; None where it has none."""
    suspended: bool
    queue: str
    """Who admits it; empty where nobody has to."""
    complete: bool
    failed: bool
    why_failed: str
    failures: int
    """Of pods; disruptions do not count."""
    completed_indexes: str
    """As `0,2-4`."""
    failed_indexes: str
    max_failed_indexes: int | None


@dataclass(frozen=True, slots=True)
class SeenHub(Owned):
    """The StatefulSet of a hub."""

    replicas: int
    """As it shall be."""
    created_at: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How a container has ended."""

    exit_code: int | None
    """None where nobody knows."""
    message: str
    disrupted: bool
    """By whoever needed its place: it does not count."""
    out_of_memory: bool = False
    """In the kubelet's words."""
    began_at: float | None = None
    """When it began to run, in seconds since the epoch; None where it never did."""
    ended_at: float | None = None
    """In seconds since the epoch; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod does not run yet."""

    message: str
    trouble: bool
    """Whether it will not pass by itself soon."""
    lacks: Literal["Claim", "Volumes", ""] = ""
    """What it may lack for a reason that no status of a pod says, but events do."""


@dataclass(frozen=True, slots=True)
class SeenPod(Owned):
    """A pod of a Job or a StatefulSet."""

    owner: str
    """Its name."""
    index: int | None
    """In an Indexed Job."""
    phase: Phase
    created_at: float
    running_since: float | None
    """Seconds since the epoch; None while its container does not run."""
    ready: bool
    waiting: Waiting | None
    ending: Ending | None
    """Of the pod, or of the container that stands now."""
    before: Ending | None
    """Of the container before that, which was in the same pod."""
    restarts: int
    """Of the container, in this pod."""
    failures_before: int
    """Of its index, before this pod."""

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.phase in ("Succeeded", "Failed")


def project_job(body: Json) -> SeenJob | None:
    """A Job; None for one that is of no TrainingJob."""
    labels = _labels(body)
    if names.LABEL_JOB not in labels:
        return None
    spec, status = body.get("spec") or {}, body.get("status") or {}
    conditions = _true_conditions(status)
    failed = conditions.get("Failed") or conditions.get("FailureTarget")
    pending = status.get("uncountedTerminatedPods") or {}
    return SeenJob(
        *_owned(body),
        island=_number(labels.get(names.LABEL_ISLAND)),
        count=spec.get("completions") if spec.get("completionMode") == "Indexed" else None,
        suspended=bool(spec.get("suspend")),
        queue=labels.get(names.QUEUE_LABEL, ""),
        complete="Complete" in conditions or "SuccessCriteriaMet" in conditions,
        failed=failed is not None,
        why_failed=_why_failed(failed or {}),
        failures=status.get("failed", 0) + len(pending.get("failed") or ()),
        completed_indexes=status.get("completedIndexes", ""),
        failed_indexes=status.get("failedIndexes", ""),
        max_failed_indexes=spec.get("maxFailedIndexes"),
    )


def project_hub(body: Json) -> SeenHub | None:
    """A StatefulSet; None for one that is of no TrainingJob."""
    if names.LABEL_JOB not in _labels(body):
        return None
    created_at = seconds(body["metadata"].get("creationTimestamp")) or 0.0
    replicas = (body.get("spec") or {}).get("replicas", 1)
    return SeenHub(*_owned(body), replicas=replicas, created_at=created_at)


def project_pod(body: Json) -> SeenPod | None:
    """A pod; None for one that is of no TrainingJob, or of nobody."""
    labels, owner = _labels(body), _controller(body)
    if names.LABEL_JOB not in labels or owner is None:
        return None
    metadata, status = body["metadata"], body.get("status") or {}
    annotations = metadata.get("annotations") or {}
    container = _container(status.get("containerStatuses") or ())
    state, before = container.get("state") or {}, container.get("lastState") or {}
    step = _step(labels)
    return SeenPod(
        *_owned(body),
        owner=sys.intern(owner["name"]),
        index=_number(annotations.get(names.LABEL_COMPLETION_INDEX)),
        phase=cast("Phase", status.get("phase", "Pending")),
        created_at=seconds(metadata.get("creationTimestamp")) or 0.0,
        running_since=seconds((state.get("running") or {}).get("startedAt")),
        ready="Ready" in _true_conditions(status),
        waiting=_waiting(status, state),
        ending=_ending(body, state.get("terminated"), step),
        before=_ended(before["terminated"], body, step) if before.get("terminated") else None,
        restarts=container.get("restartCount", 0),
        failures_before=_number(annotations.get(INDEX_FAILURES)) or 0,
    )


def indexes(text: str) -> frozenset[int]:
    """The numbers in `0,2-4`, as Kubernetes writes indexes."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _owned(body: Json) -> tuple[str, str, str, str, str, str, bool]:
    """What many objects have in common is held once."""
    metadata, labels = body["metadata"], _labels(body)
    return (
        sys.intern(metadata.get("namespace", "")),
        metadata["name"],
        metadata.get("uid", ""),
        sys.intern((_controller(body) or {}).get("uid", "")),
        sys.intern(labels.get(names.LABEL_JOB, "")),
        sys.intern(labels.get(names.LABEL_ROLE, "")),
        "deletionTimestamp" in metadata,
    )


def _labels(body: Json) -> Mapping[str, str]:
    return body["metadata"].get("labels") or {}


def _why_failed(condition: Json) -> str:
    """No Job is made with a deadline: one gets it when it is to end at once."""
    if condition.get("reason") == "DeadlineExceeded":
        return "it was stopped, for the job has failed"
    return cut(condition.get("message", ""))


def _controller(body: Json) -> Json | None:
    owners = body["metadata"].get("ownerReferences") or ()
    return next((it for it in owners if it.get("controller")), None)


def _true_conditions(status: Json) -> dict[str, Json]:
    return {it["type"]: it for it in status.get("conditions") or () if it.get("status") == "True"}


def _container(statuses: Iterable[Json]) -> Json:
    """Ours: a mesh may have put its own beside it."""
    return next((it for it in statuses if it.get("name") == CONTAINER), {})


def _step(labels: Mapping[str, str]) -> str:
    """As its log calls it."""
    index = labels.get(names.LABEL_ISLAND) or labels.get(names.LABEL_COMPLETION_INDEX)
    return Process("", labels.get(names.LABEL_ROLE, ""), _number(index) or 0).step


def _waiting(status: Json, state: Json) -> Waiting | None:
    over = status.get("phase", "Pending") not in ("Pending", "Running")
    if over or state.get("running") or state.get("terminated"):
        return None
    placed = _condition(status, "PodScheduled")
    if placed.get("status") == "False":
        unbound = any(words in placed.get("message", "") for words in _UNBOUND)
        message = cut(f"waits for a node: {_said(placed)}")
        return Waiting(message, trouble=True, lacks="Claim" if unbound else "")
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _IMAGE:
        return Waiting(cut(f"its image cannot be had: {_said(waiting)}"), trouble=True)
    if not reason or reason in _ON_THE_WAY:
        return Waiting(MAKING, trouble=False, lacks=_lacks(status))
    return Waiting(cut(f"its container cannot be started: {_said(waiting)}"), trouble=True)


def _lacks(status: Json) -> Literal["Claim", "Volumes", ""]:
    """Of a pod that says nothing: claims are bound before its node is, volumes mounted after."""
    if not _condition(status, "PodScheduled"):
        return "Claim"
    ready = _condition(status, "PodReadyToStartContainers").get("status") == "True"
    return "" if ready else "Volumes"


def _condition(status: Json, kind: str) -> Json:
    return next((it for it in status.get("conditions") or () if it.get("type") == kind), {})


def _ending(body: Json, terminated: Json | None, step: str) -> Ending | None:
    """Of the pod; one that was evicted may have no container that ended."""
    if terminated is not None:
        return _ended(terminated, body, step)
    status = body.get("status") or {}
    if status.get("phase") != "Failed":
        return None
    disruption = _true_conditions(status).get("DisruptionTarget")
    return Ending(None, cut(_why_gone(status, disruption)), disrupted=disruption is not None)


def _ended(terminated: Json, body: Json, step: str) -> Ending:
    status = body.get("status") or {}
    code = terminated.get("exitCode")
    disruption = _true_conditions(status).get("DisruptionTarget")
    message = last_words(terminated.get("message") or "", step)
    out_of_memory = terminated.get("reason") == "OOMKilled"
    if out_of_memory:
        message = f"out of memory (OOMKilled): {_memory_limit(body)}"
    elif disruption is not None or status.get("reason"):
        message = message or cut(_why_gone(status, disruption))
    disrupted = disruption is not None or code in NOT_COUNTED
    return Ending(
        code,
        message,
        disrupted=disrupted and code != 0,
        out_of_memory=out_of_memory,
        began_at=seconds(terminated.get("startedAt")) or None,  # 1970 where it could not begin
        ended_at=seconds(terminated.get("finishedAt")) or None,
    )


def _why_gone(status: Json, disruption: Json | None) -> str:
    """Evicted, preempted, or its node is gone: `Evicted: The node was low on resource: ...`."""
    return _said(status) if status.get("message") or disruption is None else _said(disruption)


def _said(told: Json) -> str:
    """The message of a condition or a state, after its reason."""
    return ": ".join(filter(None, (told.get("reason", ""), told.get("message", ""))))


def _memory_limit(body: Json) -> str:
    containers = (body.get("spec") or {}).get("containers") or ()
    own: Json = next((it for it in containers if it.get("name") == CONTAINER), {})
    limit = ((own.get("resources") or {}).get("limits") or {}).get("memory")
    if limit is None:
        return "the node had no more; ask for more in resources.requests.memory"
    return f"it took more than its limit of {limit}: raise resources.limits.memory"


def cut(text: str) -> str:
    """One line, no longer than a status has room for."""
    return " ".join(text.split())[:MESSAGE_BYTES]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def seconds(timestamp: str | None) -> float | None:
    """Since the epoch, of RFC 3339."""
    return seconds_of(timestamp) if timestamp else None
