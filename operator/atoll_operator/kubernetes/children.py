"""What became of the children of a job, in the plan's words: pure functions of what was seen.

The Job controller retries, and says in the Job's own status when it has given up. What lies in
between is read off the pods: which attempt runs, how the one before it ended, and why the next
does not run yet. Attempts that were disrupted are attempts, and no restarts.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from atoll_api.exit_codes import NOT_RETRIED
from atoll_operator.kubernetes.projection import Ending, SeenHub, SeenJob, SeenPod, indexes
from atoll_operator.plan.model import Child, ChildState

Troubles = Mapping[str, str]
NO_TROUBLES: Final[Troubles] = {}
_NO_POD: Final = "waits for its pod"


def child_of(job: SeenJob, pods: Iterable[SeenPod], troubles: Troubles = NO_TROUBLES) -> Child:
    """The child of the one step of a Job.

    Args:
        job: Not an Indexed one.
        pods: Its own, in any order; others of them may be gone already.
        troubles: What events say beyond any status, by the name of the Job or of a pod.
    """
    attempts = in_order(pods)
    if job.complete:
        return Child(ChildState.SUCCEEDED, job.failures, exit_code=0)
    if job.failed:
        return _given_up(attempts, job.failures, job.why_failed)
    return _held(job, attempts) or _going_on(job.name, attempts, job.failures, troubles)


def children_of_islands(
    job: SeenJob, pods: Iterable[SeenPod], troubles: Troubles = NO_TROUBLES
) -> Mapping[int, Child]:
    """The children of all indexes of an Indexed Job, each of which is an island.

    Args:
        job: An Indexed one.
        pods: Its own, in any order; others of them may be gone already.
        troubles: What events say beyond any status, by the name of the Job or of a pod.
    """
    of_index: dict[int, list[SeenPod]] = {index: [] for index in range(job.count or 0)}
    for pod in pods:
        if pod.index in of_index:
            of_index[pod.index].append(pod)
    completed, failed = indexes(job.completed_indexes), indexes(job.failed_indexes)
    found: dict[int, Child] = {}
    for index, own in of_index.items():
        attempts = in_order(own)
        failures = _failures(attempts)
        if job.complete or index in completed:
            found[index] = Child(ChildState.SUCCEEDED, failures, exit_code=0)
        elif index in failed:
            found[index] = _given_up(attempts, failures, job.why_failed)
        else:
            found[index] = _of_index(job, attempts, failures, troubles)
    return found


def hub_child(
    hub: SeenHub | None, pods: Iterable[SeenPod], troubles: Troubles = NO_TROUBLES
) -> Child | None:
    """The child of a hub; None where there is none.

    A StatefulSet never gives up, so this does: after an exit code that says that the same would
    happen again.
    """
    if hub is None:
        return None
    attempts = [it for it in in_order(pods) if not it.ended]
    if not attempts:
        wanted = hub.replicas > 0 and not hub.deleting
        message = troubles.get(hub.name, _NO_POD)
        return Child(ChildState.STARTING, message=message) if wanted else _STOPPED
    pod = attempts[-1]
    if pod.running_since is not None:
        return Child(ChildState.RUNNING, pod.restarts, _code(pod.before), since=pod.running_since)
    last = pod.ending or pod.before
    if last is None:
        return Child(ChildState.STARTING, pod.restarts, message=_why_waiting(pod, troubles))
    final = last.exit_code in NOT_RETRIED
    state = ChildState.FAILED if final else ChildState.RESTARTING
    return Child(state, pod.restarts, last.exit_code, last.message)


def in_order(pods: Iterable[SeenPod]) -> list[SeenPod]:
    """Attempts, the newest last. A name settles a tie: times are whole seconds."""
    return sorted(pods, key=lambda it: (it.created_at, it.failures_before, it.name))


_STOPPED = Child(ChildState.STOPPED)


def _of_index(job: SeenJob, attempts: list[SeenPod], failures: int, troubles: Troubles) -> Child:
    """An island that has neither succeeded nor been given up."""
    held = _held(job, attempts)
    if held is not None:
        return held
    if job.failed and all(it.ended for it in attempts):
        # Others have taken it along: nobody will start it again.
        return Child(ChildState.FAILED, failures, message=job.why_failed)
    return _going_on(job.name, attempts, failures, troubles)


def _failures(attempts: list[SeenPod]) -> int:
    """Of an index so far, as the Job controller counts them."""
    if not attempts:
        return 0
    newest = attempts[-1]
    return newest.failures_before + int(_has_failed(newest))


def _has_failed(pod: SeenPod) -> bool:
    return pod.phase == "Failed" and not (pod.ending is not None and pod.ending.disrupted)


def _held(job: SeenJob, attempts: list[SeenPod]) -> Child | None:
    """A Job that may have no pods for now, or for ever; None while one is ending.

    It is not this operator that suspends Jobs, and so not this one that lets them go on: a queue
    does, or a person.
    """
    if not (job.deleting or job.suspended) or any(not it.ended for it in attempts):
        return None
    if job.deleting:
        return _STOPPED
    who = f"the queue {job.queue} to admit it" if job.queue else "whoever has suspended its Job"
    return Child(ChildState.STARTING, message=f"waits for {who}", held=True)


def _given_up(attempts: list[SeenPod], failures: int, why: str) -> Child:
    """The last failure of all is no restart."""
    last = next((it.ending for it in reversed(attempts) if _has_failed(it)), None)
    message = last.message if last and last.message else why
    return Child(ChildState.FAILED, max(0, failures - 1), _code(last), message)


def _going_on(name: str, attempts: list[SeenPod], failures: int, troubles: Troubles) -> Child:
    """A child that has not ended for good; `name` is its Job's."""
    last = next((it.ending for it in reversed(attempts) if it.ended and it.ending), None)
    if attempts and (attempts[-1].running_since is not None or _is_ending(attempts[-1])):
        since = attempts[-1].running_since
        return Child(ChildState.RUNNING, failures, _code(last), since=since)
    waits = attempts[-1] if attempts and not attempts[-1].ended else None
    message = _why_waiting(waits, troubles) if waits else troubles.get(name, "")
    in_trouble = bool(waits and waits.waiting and waits.waiting.trouble)
    in_trouble = in_trouble or (waits.name if waits else name) in troubles
    if last is not None and not in_trouble:
        return Child(ChildState.RESTARTING, failures, last.exit_code, last.message)
    said = message or _NO_POD
    return Child(ChildState.STARTING, failures, _code(last), said, held=in_trouble)


def _is_ending(pod: SeenPod) -> bool:
    """It has ended, and whoever keeps the books has yet to say so."""
    return pod.phase == "Succeeded" or (pod.ending is not None and not pod.ended)


def _why_waiting(pod: SeenPod, troubles: Troubles) -> str:
    """What an event says, if there is one that says more; or what its status says."""
    return troubles.get(pod.name, pod.waiting.message if pod.waiting else "")


def _code(ending: Ending | None) -> int | None:
    return ending.exit_code if ending else None
