"""What has happened to a job between two looks of one leader: what its metrics count. Pure.

A leader takes a job as it finds it: what lies before its first look was counted by whoever led
then, or by nobody, and is not counted again. After that everything is read off what the API server
keeps (the status, the attempts of each step and when they began and ended), so that a pass that is
repeated, an answer that was lost or a watch that was late counts nothing twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Literal

from atoll_api import names
from atoll_api.reasons import EXPLANATIONS
from atoll_api.status import TrainingJobStatus
from atoll_operator.kubernetes.children import in_order
from atoll_operator.kubernetes.observing import Scene
from atoll_operator.kubernetes.projection import Ending, SeenPod
from atoll_operator.kubernetes.training_jobs import JobView, seconds_of
from atoll_operator.plan.status import ended_in

RestartReason = Literal["Error", "OOMKilled", "Disrupted"]

ENDS: Final = tuple(
    (it.type, it.reason) for it in EXPLANATIONS if it.type in ("Complete", "Failed")
)
"""How a job may end, and why: (type, reason) of its condition."""
_AT_WORK: Final = frozenset({"Running", "Succeeded", "Failed"})
"""States of a step that has been at work."""


@dataclass(frozen=True)
class Finished:
    """A job has ended."""

    result: str
    reason: str
    seconds: float
    """Since its creation."""


@dataclass(frozen=True)
class Started:
    """The first step of a job is at work."""

    seconds: float
    """Since the job's creation."""


@dataclass(frozen=True)
class Restarted:
    """An island has another attempt."""

    reason: RestartReason
    """Why the one before it ended."""


@dataclass(frozen=True)
class Recovered:
    """The next attempt of an island is at work."""

    seconds: float
    """Since the end of the one before it."""


@dataclass(frozen=True)
class Merged:
    """The islands of a job have become one model."""

    seconds: float
    """Since the last of them ended, or the merge began if that was later."""


Occurrence = Finished | Started | Restarted | Recovered | Merged


@dataclass(frozen=True, slots=True)
class Attempt:
    """A pod of an island."""

    uid: str
    began_at: float | None
    """When it was at work first, in seconds since the epoch; None before."""
    ended_at: float | None
    why: RestartReason | None
    """Why it ended, if it did not end well; None while it has not."""


Attempts = Mapping[int, tuple[Attempt, ...]]
"""Of each island, the newest last."""


@dataclass(frozen=True)
class Trail:
    """What of a job's pods has been counted, or lies before the first look.

    Attributes:
        islands: the attempts that are known.
        at_work: whether a step has been at work.
        merged: whether the merge has succeeded.
    """

    islands: Attempts = field(default_factory=dict)
    at_work: bool = False
    merged: bool = False


def finished(
    before: TrainingJobStatus | None, view: JobView, first_look: float
) -> Iterator[Finished]:
    """The end of a job that had not ended before.

    One from before this leader's first look, in seconds since the epoch, is not its own: its watch
    was late then. An end that Atoll does not know, written by another hand, is none.
    """
    ended = view.status and view.status.completion_time
    if view.status is None or not ended or ended_in(before) is not None:
        return
    if seconds_of(ended) < int(first_look):
        return
    for it in view.status.conditions:
        if it.status == "True" and (it.type, it.reason) in ENDS:
            yield Finished(it.type, it.reason, max(0.0, seconds_of(ended) - view.created_at))


def begin(view: JobView, scene: Scene) -> Trail:
    """The first look at a job."""
    steps = list(_steps(scene))
    return Trail(
        islands=_attempts(steps),
        at_work=_has_been_at_work(view.status) or _first_at_work(steps) is not None,
        merged=_merge_ended(steps) is not None or _is_done(view.status, names.MERGE),
    )


def follow(
    trail: Trail, view: JobView, scene: Scene, now: float
) -> tuple[Trail, tuple[Occurrence, ...]]:
    """The next look at a job that has not ended: what has happened since the last one.

    Args:
        trail: of the last look.
        view: the job as this pass found it.
        scene: its children, likewise.
        now: seconds since the epoch; when what nobody has a time of has ended.
    """
    steps = list(_steps(scene))
    islands, occurred = _followed(trail.islands, _attempts(steps), now)
    if view.suspended:
        islands, occurred = {}, []  # told to stop by its user: what comes later begins anew
    began, merged = _first_at_work(steps), _merge_ended(steps)
    if not trail.at_work and began is not None and not _was_suspended(view.status):
        occurred.append(Started(max(0.0, began - view.created_at)))
    if not trail.merged and merged is not None:
        occurred.append(Merged(max(0.0, merged - _merge_began(steps))))
    at_work = trail.at_work or began is not None
    return Trail(islands, at_work, trail.merged or merged is not None), tuple(occurred)


@dataclass(frozen=True, slots=True)
class _Step:
    """A pod of a step of this very job."""

    pod: SeenPod
    island: int | None


def _steps(scene: Scene) -> Iterator[_Step]:
    """In the order of attempts; the hub is no step."""
    for pod in in_order(scene.pods):
        job = scene.jobs.get(pod.owner)
        if job is not None and job.uid == pod.owner_uid:
            yield _Step(pod, job.island if job.count is None else pod.index)


def _attempts(steps: Iterable[_Step]) -> Attempts:
    found: dict[int, list[Attempt]] = {}
    for it in steps:
        if it.pod.role == names.ISLAND and it.island is not None:
            found.setdefault(it.island, []).append(_attempt(it.pod))
    return {island: tuple(attempts) for island, attempts in found.items()}


def _attempt(pod: SeenPod) -> Attempt:
    ending = pod.ending
    if ending is None:
        return Attempt(pod.uid, pod.running_since, None, None)
    why = None if ending.exit_code == 0 else _why(ending)
    return Attempt(pod.uid, ending.began_at, ending.ended_at, why)


def _why(ending: Ending) -> RestartReason:
    if ending.disrupted:
        return "Disrupted"
    return "OOMKilled" if ending.out_of_memory else "Error"


def _followed(
    before: Attempts, seen: Attempts, now: float
) -> tuple[dict[int, tuple[Attempt, ...]], list[Occurrence]]:
    islands: dict[int, tuple[Attempt, ...]] = {}
    occurred: list[Occurrence] = []
    for island in before.keys() | seen.keys():
        known, present = before.get(island, ()), seen.get(island, ())
        if known == present:
            islands[island] = known
            continue
        history = _history(known, present, now)
        occurred += _changes(known, history)
        kept = {it.uid for it in (*present, *history[-2:])}  # the last two: one may yet recover
        islands[island] = tuple(it for it in history if it.uid in kept)
    return islands, occurred


def _history(
    known: tuple[Attempt, ...], present: tuple[Attempt, ...], now: float
) -> tuple[Attempt, ...]:
    """All attempts that are known of, in order.

    One that went without a word was taken by whoever needed its place, or with its node.
    """
    found = {it.uid: it if it.why or it.ended_at else replace(it, why="Disrupted") for it in known}
    found |= {it.uid: it for it in present}
    earlier = {it.uid: it.ended_at for it in known}
    return tuple(
        replace(it, ended_at=earlier.get(it.uid) or now) if it.why and not it.ended_at else it
        for it in found.values()
    )


def _changes(known: tuple[Attempt, ...], history: tuple[Attempt, ...]) -> Iterator[Occurrence]:
    old = {it.uid: it for it in known}
    for last, it in pairwise(history):
        earlier = old.get(it.uid)
        if earlier is None:
            yield Restarted(last.why or "Disrupted")
        is_new = it.began_at is not None and (earlier is None or earlier.began_at is None)
        if is_new and it.began_at is not None and last.ended_at is not None:
            yield Recovered(max(0.0, it.began_at - last.ended_at))


def _first_at_work(steps: Iterable[_Step]) -> float | None:
    """When the first step was at work, in seconds since the epoch; None before."""
    began = (_began_at(it.pod) for it in steps)
    return min((it for it in began if it is not None), default=None)


def _began_at(pod: SeenPod) -> float | None:
    return pod.ending.began_at if pod.ending else pod.running_since


def _merge_ended(steps: Iterable[_Step]) -> float | None:
    """When the merge succeeded, in seconds since the epoch; None before."""
    for it in steps:
        ending = it.pod.ending
        if it.pod.role == names.MERGE and ending is not None and ending.exit_code == 0:
            return ending.ended_at
    return None


def _merge_began(steps: Iterable[_Step]) -> float:
    """The merge stands beside the islands from the beginning, and waits for the last of them."""
    made = min(it.pod.created_at for it in steps if it.pod.role == names.MERGE)
    ends = (it.pod.ending.ended_at for it in steps if it.island is not None and it.pod.ending)
    return max((made, *(it for it in ends if it is not None)))


def _has_been_at_work(status: TrainingJobStatus | None) -> bool:
    if status is None:
        return False
    steps = (it for it in (*status.steps, *status.islands) if it.name != names.HUB)
    begun = bool(status.artifacts) or any(it.state in _AT_WORK for it in steps)
    return begun or _was_suspended(status)


def _was_suspended(status: TrainingJobStatus | None) -> bool:
    """A job that stood still as its user wished has not waited for anybody."""
    return any(it.type == "Suspended" for it in status.conditions) if status else False


def _is_done(status: TrainingJobStatus | None, step: str) -> bool:
    steps = status.steps if status else ()
    return any(it.name == step and it.state == "Succeeded" for it in steps)
