"""What changed from one status to the next, for people."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from atoll_api.status import Condition, StepStatus, TrainingJobStatus


@dataclass(frozen=True)
class Event:
    """Something that happened; a laptop says the message, a cluster keeps the whole."""

    type: Literal["Normal", "Warning"]
    reason: str
    """One of a fixed set, for machines."""
    message: str


def events(previous: TrainingJobStatus | None, current: TrainingJobStatus) -> tuple[Event, ...]:
    """One for each step that began, ended or restarted, and each condition that changed."""
    before = previous or TrainingJobStatus()
    known = {step.name: step for step in (*before.steps, *before.islands)}
    told = {condition.type: condition for condition in before.conditions}
    steps = sorted((*current.steps, *current.islands), key=lambda step: step.name)
    return (
        *(event for step in steps for event in _step(known.get(step.name), step)),
        *(event for now in current.conditions for event in _condition(told.get(now.type), now)),
    )


def _step(before: StepStatus | None, now: StepStatus) -> Iterator[Event]:
    if now.restarts > (before.restarts if before else 0):
        yield Event("Warning", "StepRestarted", f"{now.name}: restart {now.restarts}")
    if before is not None and now.state != before.state:
        match now.state:
            case "Running":
                yield Event("Normal", "StepRuns", f"{now.name}: runs")
            case "Succeeded":
                yield Event("Normal", "StepDone", f"{now.name}: done")
            case "Failed":
                yield Event("Warning", "StepFailed", f"{now.name}: {now.message}")
            case "Pending" | "Waiting":
                pass


def _condition(before: Condition | None, now: Condition) -> Iterator[Event]:
    said = (now.status, now.reason)
    if said == ((before.status, before.reason) if before else None):
        return
    refused = now.type == "Accepted" and now.status == "False"
    if now.type == "Accepted" and not refused:
        return
    bad = refused or (now.type in ("Failed", "Degraded") and now.status == "True")
    yield Event(
        "Warning" if bad else "Normal",
        now.reason,
        f"{now.type}={now.status} ({now.reason}): {now.message}",
    )
