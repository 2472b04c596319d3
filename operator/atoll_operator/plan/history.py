"""When a step came into its states: what a timeline is drawn of. Pure.

Remembered in the status, which laptops and clusters both keep, and nowhere in an artifact: what is
computed must not depend on when it was.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from atoll_api.names import StepName
from atoll_api.status import Moment, StepStatus, TrainingJobStatus
from atoll_operator.plan.model import Child

REMEMBERED: Final = 8
"""Moments of a step: the first, and the last ones."""
_ENDS: Final = ("Succeeded", "Failed")


def remembered(
    steps: Iterable[StepStatus],
    children: Mapping[StepName, Child],
    before: TrainingJobStatus,
    now: float,
) -> tuple[StepStatus, ...]:
    """The steps with their histories; `now` in seconds since the epoch."""
    known = {it.name: it for it in (*before.islands, *before.steps)}

    def with_history(step: StepStatus) -> StepStatus:
        child = children.get(StepName(step.name))
        told = history(step, known.get(step.name), child, now)
        return step.model_copy(update={"history": told})

    return tuple(map(with_history, steps))


def history(
    step: StepStatus, before: StepStatus | None, child: Child | None, now: float
) -> tuple[Moment, ...]:
    """What was known of it, and the moment of a new state, if there is one.

    Waiting before the first attempt is not told: that is when the job began. Nor is the end of a
    step that nobody saw begin, for it may lie long ago.
    """
    known = before.history if before else ()
    restarts = before.restarts if before else 0
    if before is not None and before.state == step.state and restarts == step.restarts:
        return known
    if not known and (step.state == "Waiting" or (before is None and step.state in _ENDS)):
        return known
    return _cut((*known, *_new(step, child, known, now)))


def _new(
    step: StepStatus, child: Child | None, known: tuple[Moment, ...], now: float
) -> tuple[Moment, ...]:
    """The present state; before an end, when the last attempt began, if that was not told."""
    began = child.since if child else None
    latest = known[-1].since if known else ""
    if step.state == "Running":
        return (Moment(state="Running", since=max(latest, moment(began or now))),)
    unseen = step.state in _ENDS and began is not None and _is_news(began, known)
    first = (Moment(state="Running", since=max(latest, moment(began or now))),) if unseen else ()
    return (*first, Moment(state=step.state, since=moment(now)))


def _is_news(began: float, known: tuple[Moment, ...]) -> bool:
    """Whether no attempt has been told, or this one began after the wait that was told last."""
    attempts = any(it.state == "Running" for it in known)
    return not attempts or (known[-1].state != "Running" and moment(began) > known[-1].since)


def _cut(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    if len(moments) <= REMEMBERED:
        return moments
    return (moments[0], *moments[1 - REMEMBERED :])


def moment(seconds: float) -> str:
    """UTC with milliseconds: `2026-01-31T12:00:00.250Z`; ordered as the times are."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.strftime('%Y-%m-%dT%H:%M:%S')}.{at.microsecond // 1000:03d}Z"
