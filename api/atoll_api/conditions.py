"""The conditions of a job: type, reason and message are said together, here.

A condition's `lastTransitionTime` moves when its `status` does, never with its message.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from atoll_api.reasons import FailedReason, PausedReason, Reason, RunningReason
from atoll_api.status import Condition, ConditionType


class Claim(NamedTuple):
    """What is to be said of one condition, before it is known when that began."""

    type: ConditionType
    status: Literal["True", "False"]
    reason: Reason
    message: str


def accepted(message: str) -> Claim:
    """The spec is valid."""
    return Claim("Accepted", "True", "Valid", message)


def running(reason: RunningReason, message: str) -> Claim:
    """Work is being done; the reason names the phase."""
    return Claim("Running", "True", reason, message)


def not_running(reason: PausedReason, message: str) -> Claim:
    """No work is being done."""
    return Claim("Running", "False", reason, message)


def refused(message: str) -> Claim:
    """The spec is not valid: all its problems, in one message."""
    return Claim("Accepted", "False", "Invalid", message)


def suspended(message: str) -> Claim:
    """Nothing runs, as the user asked; the work is saved."""
    return Claim("Suspended", "True", "Stopped", message)


def degraded(message: str) -> Claim:
    """Islands were lost, and the job goes on without them."""
    return Claim("Degraded", "True", "IslandLost", message)


def complete(message: str) -> Claim:
    """The job has all it was asked for."""
    return Claim("Complete", "True", "Finished", message)


def failed(reason: FailedReason, message: str) -> Claim:
    """The job cannot go on."""
    return Claim("Failed", "True", reason, message)


def transition(
    previous: Sequence[Condition], claims: Sequence[Claim], now: str
) -> tuple[Condition, ...]:
    """Join new claims with what was said before; `now` is RFC 3339.

    A condition that is no longer claimed and was true becomes false; one that was false
    stays as it is.
    """
    known = {condition.type: condition for condition in previous}
    claimed = {claim.type for claim in claims}
    told = tuple(_condition(claim, known.get(claim.type), now) for claim in claims)
    unclaimed = (old for old in previous if old.type not in claimed)
    return told + tuple(_withdrawn(old, "NoLongerSo", "no longer so", now) for old in unclaimed)


def said_anew(previous: Sequence[Condition], claim: Claim, now: str) -> tuple[Condition, ...]:
    """One condition as it is now; what was said of others stands."""
    known = {condition.type: condition for condition in previous}
    known[claim.type] = _condition(claim, known.get(claim.type), now)
    return tuple(known.values())


def resumed(previous: Sequence[Condition], now: str) -> tuple[Condition, ...]:
    """The conditions of a job that goes on: its end and its losses are past."""
    past = ("Failed", "Degraded", "Complete")
    return tuple(
        _withdrawn(old, "Resumed", "the job was resumed", now) if old.type in past else old
        for old in previous
    )


def _condition(claim: Claim, old: Condition | None, now: str) -> Condition:
    since = old.last_transition_time if old and old.status == claim.status else now
    return Condition(**claim._asdict(), last_transition_time=since)


def _withdrawn(old: Condition, reason: Reason, message: str, now: str) -> Condition:
    if old.status != "True":
        return old
    return _condition(Claim(old.type, "False", reason, message), old, now)
