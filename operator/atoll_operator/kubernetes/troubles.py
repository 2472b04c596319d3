"""What events say of a job's objects that no status does, and how long it counts. Pure.

Events are kept for an hour, whatever becomes of what they tell. They carry no label of ours: the
name of what they are about says whose it may be, and its uid whether it is.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll_api import names
from atoll_operator.kubernetes.projection import SeenHub, SeenJob, SeenPod, cut, seconds

Json = Mapping[str, Any]

_VOLUME_SECONDS: Final = 150.0
"""A kubelet tries each volume that it cannot mount at least every two minutes."""
_WORDS: Final[Mapping[str, str]] = {
    "FailedCreate": "its pod cannot be made",
    "FailedMount": "a volume cannot be mounted",
    "FailedAttachVolume": "a volume cannot be attached",
    "ProvisioningFailed": "its volume cannot be had",
}
_TELLERS: Final[Mapping[str, frozenset[str]]] = {
    "Job": frozenset({"FailedCreate"}),
    "StatefulSet": frozenset({"FailedCreate"}),
    "PersistentVolumeClaim": frozenset({"ProvisioningFailed"}),
    "Pod": frozenset({"FailedMount", "FailedAttachVolume"}),
}
"""Which reasons count of which kind of object."""
_NOISE: Final = ("BackOff", "Failed", "FailedScheduling", "Unhealthy")
"""Reasons that a cluster's other warnings mostly have; the status of a pod says the same."""
SELECTOR: Final = ",".join(
    (
        "type=Warning",
        *(f"involvedObject.kind!={kind}" for kind in ("Node", names.KIND)),
        *(f"reason!={reason}" for reason in _NOISE),
    )
)
"""As far as an API server can tell them from others: it knows no alternatives."""
_AGGREGATED: Final = re.compile(r"^\(combined from similar events\): ")
_ATTEMPT: Final = re.compile(
    r"^(?:Error creating: |create Pod \S+ in StatefulSet \S+ failed error: )"
    r"(?:pods \"[^\"]*\" is forbidden: )?"
)
"""Who was to be made: another name at each attempt, for the same reason."""
_PASSING: Final = re.compile(r"failed to sync \w+ cache: |: object \S+ not registered$")
"""What a kubelet says that has yet to read what it mounts: half a second later it has."""
_SUMMARY: Final = "Unable to attach or mount volumes"
"""What a kubelet says of all volumes of a pod after two minutes, without a reason."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps an object from going on, as an event told it."""

    namespace: str
    job: str
    """The TrainingJob whose it is, if the object is ours."""
    kind: str
    name: str
    uid: str
    reason: str
    message: str
    vague: bool
    """Whether another event of the object may say more."""
    at: float
    """When it was told last, in seconds since the epoch."""


def project_trouble(event: Json) -> Trouble | None:
    """What an event of the core group says; None where it is not of our objects, or no trouble."""
    about, reason = event.get("involvedObject") or {}, event.get("reason", "")
    kind, name = about.get("kind", ""), about.get("name", "")
    job = names.job_of_pod(name) if kind == "Pod" else names.job_of_object(name)
    if job is None or reason not in _TELLERS.get(kind, ()):
        return None
    said = _AGGREGATED.sub("", event.get("message") or "")
    if _PASSING.search(said):
        return None
    return Trouble(
        namespace=about.get("namespace", ""),
        job=job,
        kind=kind,
        name=name,
        uid=about.get("uid", ""),
        reason=reason,
        message=cut(f"{_WORDS[reason]}: {_ATTEMPT.sub('', said)}"),
        vague=said.startswith(_SUMMARY),
        at=_last_seen(event),
    )


def holding(
    troubles: Iterable[Trouble],
    jobs: Mapping[str, SeenJob],
    hub: SeenHub | None,
    pods: Iterable[SeenPod],
) -> dict[str, str]:
    """What still keeps objects of a job from going on, by the name of who waits.

    An event counts while what it tells of can still be so:

    - a pod that was not made: since then none has been;
    - a volume: its pod has a node, and is not past mounting;
    - a claim: the hub's pod has no node, and its status names no other reason.

    Nothing here knows the time: what has come to pass is read off the objects.
    """
    seen = _Seen(jobs, hub, {pod.uid: pod for pod in pods})
    told: defaultdict[str, list[Trouble]] = defaultdict(list)
    for trouble in troubles:
        who = seen.kept_by(trouble)
        if who is not None:
            told[who].append(trouble)
    return {who: _telling(of_one) for who, of_one in told.items()}


@dataclass(frozen=True)
class _Seen:
    jobs: Mapping[str, SeenJob]
    hub: SeenHub | None
    pods: Mapping[str, SeenPod]
    """By their uids: of a thousand, each may have a volume that it lacks."""

    def kept_by(self, trouble: Trouble) -> str | None:
        """The name of the object that waits because of it; None when that is over."""
        match trouble.kind:
            case "Pod":
                return trouble.name if self._lacks_volumes(trouble) else None
            case "PersistentVolumeClaim":
                return self._waits_for_claim(trouble)
            case _:
                return trouble.name if self._has_no_pod_since(trouble) else None

    def _has_no_pod_since(self, trouble: Trouble) -> bool:
        """Not in the same second either: what goes on is told again a second later."""
        owner = self.hub if trouble.kind == "StatefulSet" else self.jobs.get(trouble.name)
        if owner is None or owner.uid != trouble.uid:
            return False
        own = (pod.created_at for pod in self.pods.values() if pod.owner_uid == owner.uid)
        return trouble.at > max(own, default=0.0)

    def _lacks_volumes(self, trouble: Trouble) -> bool:
        pod = self.pods.get(trouble.uid)
        return pod is not None and _lacks(pod, "Volumes")

    def _waits_for_claim(self, trouble: Trouble) -> str | None:
        """Claims are not looked at: one of an earlier job of this name told of before this hub."""
        hub = self.hub
        if hub is None or trouble.name != hub.name or trouble.at < hub.created_at:
            return None
        own = (pod for pod in self.pods.values() if pod.owner_uid == hub.uid)
        return next((pod.name for pod in own if _lacks(pod, "Claim")), None)


def _lacks(pod: SeenPod, what: str) -> bool:
    return pod.waiting is not None and pod.waiting.lacks == what


def _telling(told: list[Trouble]) -> str:
    """The newest of several; of volumes, which are tried by turns, the same one each time.

    Or else a status would change with every attempt.
    """
    newest = max(told, key=lambda it: it.at)
    if newest.kind != "Pod":
        return newest.message
    recent = (it for it in told if newest.at - it.at <= _VOLUME_SECONDS)
    return min(recent, key=lambda it: (it.vague, it.message)).message


def _last_seen(event: Json) -> float:
    """Of an event that is told once, of one that is counted, and of one of a series."""
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return next((found for it in times if (found := seconds(it)) is not None), 0.0)
