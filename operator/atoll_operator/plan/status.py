"""What a job says of itself: (spec, observed, plan, previous, now) -> TrainingJobStatus."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from atoll_api import conditions, names
from atoll_api.conditions import Claim
from atoll_api.names import Ref
from atoll_api.problems import warnings
from atoll_api.reasons import FailedReason
from atoll_api.spec import TrainingJobSpec
from atoll_api.status import (
    ArtifactStatus,
    EvaluationStatus,
    JobState,
    Progress,
    TrainingJobStatus,
)
from atoll_operator.plan.effort import eta_seconds, percent
from atoll_operator.plan.history import remembered
from atoll_operator.plan.level import Fate, Level, level
from atoll_operator.plan.model import (
    Binding,
    Complete,
    Failed,
    Observed,
    Ongoing,
    Outcome,
    Plan,
    Stopped,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.policies.quorum import quorum
from atoll_operator.plan.step_status import hub_status, step_status, worst_first

SHOWN_ISLANDS = 100
SHOWN_ARTIFACTS = 64


def status(
    spec: TrainingJobSpec,
    observed: Observed,
    plan: Plan,
    previous: TrainingJobStatus | None,
    now: float,
) -> TrainingJobStatus:
    """The whole status; times in seconds since the epoch. Lists are cut to what an API takes.

    Before the hub has been heard, what was known of a resumed job stands.
    """
    before = previous or TrainingJobStatus()
    seen = level(pipeline(spec), observed)
    claims = _claims(spec, seen, observed, plan.outcome)
    unheard = previous is not None and observed.hub.address is None
    measured = before if unheard else _measured(spec, seen, observed, plan.outcome, now)
    islands, steps = (
        remembered(it, observed.children, before, now) for it in (measured.islands, measured.steps)
    )
    ended = isinstance(plan.outcome, Complete | Failed)
    said = {
        "state": _state(seen, observed, plan.outcome),
        "islands": islands,
        "steps": (*(it for it in steps if it.name != names.HUB), *hub_status(observed.hub)),
        "conditions": conditions.transition(before.conditions, claims, rfc3339(now)),
        "evaluation": EvaluationStatus(metrics=observed.metrics or before.evaluation.metrics),
        "hub": observed.hub.address if isinstance(plan.outcome, Ongoing) else None,
        "start_time": before.start_time or rfc3339(observed.start_time),
        "completion_time": (before.completion_time or rfc3339(now)) if ended else None,
    }
    return measured.model_copy(update=said)


def _measured(
    spec: TrainingJobSpec, seen: Level, observed: Observed, outcome: Outcome, now: float
) -> TrainingJobStatus:
    """The part that is read off the level."""
    islands = [step_status(step, seen, observed) for step in seen.islands()]
    return TrainingJobStatus(
        islands=worst_first(islands)[:SHOWN_ISLANDS],
        islands_ready=f"{len(seen.islands(Fate.DONE))}/{spec.islands.count}",
        steps=tuple(step_status(step, seen, observed) for step in seen.others()),
        progress=_progress(spec, seen, observed, outcome, now),
        artifacts=_artifacts(observed)[:SHOWN_ARTIFACTS],
    )


def ended_in(status: TrainingJobStatus | None) -> Complete | Failed | None:
    """The end that a status tells, or None."""
    for condition in status.conditions if status else ():
        if condition.status == "True" and condition.type == "Complete":
            return Complete(condition.message)
        if condition.status == "True" and condition.type == "Failed":
            return Failed(cast("FailedReason", condition.reason), condition.message)
    return None


def refused(previous: TrainingJobStatus | None, problems: str, now: float) -> TrainingJobStatus:
    """The status of a job that cannot be run as it is written."""
    before = previous or TrainingJobStatus()
    claims = (conditions.refused(problems), conditions.failed("Invalid", problems))
    told = conditions.transition(before.conditions, claims, rfc3339(now))
    moment = before.completion_time or rfc3339(now)
    said = {"state": "Failed", "conditions": told, "completion_time": moment}
    return before.model_copy(update=said)


def blocked(previous: TrainingJobStatus | None, why: str, now: float) -> TrainingJobStatus:
    """The status of a job that cannot get on, though nothing is wrong with it as it is written."""
    before = previous or TrainingJobStatus(state="Pending")
    claim = conditions.not_running("ObjectRefused", why)
    told = conditions.said_anew(before.conditions, claim, rfc3339(now))
    return before.model_copy(update={"conditions": told})


def resumed(previous: TrainingJobStatus, now: float) -> TrainingJobStatus:
    """The status of a job that had ended and goes on, as the user asked."""
    told = conditions.resumed(previous.conditions, rfc3339(now))
    fresh = {"state": "Pending", "conditions": told, "completion_time": None}
    return previous.model_copy(update=fresh)


def rfc3339(seconds: float) -> str:
    """UTC, whole seconds: `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _claims(
    spec: TrainingJobSpec, seen: Level, observed: Observed, outcome: Outcome
) -> tuple[Claim, ...]:
    accepted = conditions.accepted(_accepted_as(spec))
    lost = tuple(seen.why_failed(step) for step in seen.islands(Fate.FAILED))
    degraded = (conditions.degraded(quorum(spec.islands, lost).why),) if lost else ()
    match outcome:
        case Complete(message=message):
            running = conditions.not_running("Complete", message)
            return (accepted, running, *degraded, conditions.complete(message))
        case Failed(reason=reason, message=message):
            running = conditions.not_running(reason, message)
            return (accepted, running, conditions.failed(reason, message))
        case Stopped():
            why = "stopped by the user: start the job again to resume it"
            suspended = conditions.suspended(why)
            return (accepted, conditions.not_running("Stopped", why), suspended, *degraded)
        case Ongoing():
            return (accepted, _phase(seen, observed), *degraded)


def _accepted_as(spec: TrainingJobSpec) -> str:
    """What the job is, and what its user may not have meant."""
    told = (f"warning: {warning}" for warning in warnings(spec))
    return "; ".join((f"{spec.strategy.type} of {spec.islands.count} islands", *told))


def _phase(seen: Level, observed: Observed) -> Claim:
    if observed.hub.address is None:
        waits = observed.hub.child.message if observed.hub.child else ""
        why = f"the hub is starting: {waits}" if waits else "the hub is starting"
        return conditions.not_running("StartingHub", why)
    if waits := _all_are_held(seen, observed):
        return conditions.not_running("Waiting", waits)
    if not seen.done(names.PARTITION):
        return conditions.running("Partitioning", "the data are being divided")
    if seen.ready(seen.steps[-1]):
        return conditions.running("Evaluating", "the models are being scored")
    if _only_the_merge_is_left(seen):
        return conditions.running("Merging", "the islands' last weights become one model")
    done, count = len(seen.islands(Fate.DONE)), len(seen.islands())
    return conditions.running("Training", f"{done} of {count} islands have finished")


def _all_are_held(seen: Level, observed: Observed) -> str:
    """What the first step that is under way waits for, if none of them works; else empty."""
    waits = ""
    for step in (*seen.others(Fate.LIVE), *seen.islands(Fate.LIVE)):
        child = observed.children.get(step.name)
        if child is None or not child.held:
            return ""
        waits = waits or f"{step.name} {child.message}"
    return waits


def _only_the_merge_is_left(seen: Level) -> bool:
    open_steps = {step.name for step in seen.others(Fate.OPEN, Fate.LIVE)}
    return names.MERGE in open_steps and not seen.islands(Fate.OPEN, Fate.LIVE)


def _state(seen: Level, observed: Observed, outcome: Outcome) -> JobState:
    match outcome:
        case Complete():
            return "Complete"
        case Failed():
            return "Failed"
        case Stopped():
            return "Suspended"
        case Ongoing():
            return _PHASES[_phase(seen, observed).reason]


_PHASES: Mapping[str, JobState] = {
    "StartingHub": "Pending",
    "Waiting": "Pending",
    "Partitioning": "Running",
    "Training": "Running",
    "Merging": "Merging",
    "Evaluating": "Evaluating",
}


def _progress(
    spec: TrainingJobSpec, seen: Level, observed: Observed, outcome: Outcome, now: float
) -> Progress:
    if isinstance(outcome, Complete):
        return Progress(percent=100, eta_seconds=0)
    ongoing = isinstance(outcome, Ongoing)
    eta = eta_seconds(spec, seen, observed, now) if ongoing else None
    return Progress(percent=percent(spec, seen, observed), eta_seconds=eta)


def _artifacts(observed: Observed) -> tuple[ArtifactStatus, ...]:
    """Models before assignments, of which there is one an island; nothing of single rounds."""
    final = [ref for ref in observed.bindings if not _PASSING.match(ref)]
    ordered = sorted(final, key=lambda ref: (ref.startswith(names.ASSIGNMENT_REF), ref))
    return tuple(_artifact(ref, observed.bindings[ref]) for ref in ordered)


_PASSING = re.compile(r"checkpoints/|islands/\d+/(rounds|merges|lost|statistics)\b")
"""Refs of what is on the way: of rounds there may be thousands."""


def _artifact(ref: Ref, bound: Binding) -> ArtifactStatus:
    return ArtifactStatus(
        name=ref, digest=bound.digest, size_bytes=bound.size_bytes, parents=bound.parents
    )
