"""What changed from one status to the next, in lines for people."""

from collections.abc import Iterator

from atoll_api.status import Condition, StepStatus, TrainingJobStatus


def events(previous: TrainingJobStatus | None, current: TrainingJobStatus) -> tuple[str, ...]:
    """One line for each step that began, ended or restarted, and each condition that changed."""
    before = previous or TrainingJobStatus()
    known = {step.name: step for step in (*before.steps, *before.islands)}
    told = {condition.type: condition for condition in before.conditions}
    steps = sorted((*current.steps, *current.islands), key=lambda step: step.name)
    return (
        *(line for step in steps for line in _step(known.get(step.name), step)),
        *(line for now in current.conditions for line in _condition(told.get(now.type), now)),
    )


def _step(before: StepStatus | None, now: StepStatus) -> Iterator[str]:
    if now.restarts > (before.restarts if before else 0):
        yield f"{now.name}: restart {now.restarts}"
    if before is not None and now.state != before.state:
        match now.state:
            case "Running":
                yield f"{now.name}: runs"
            case "Succeeded":
                yield f"{now.name}: done"
            case "Failed":
                yield f"{now.name}: {now.message}"
            case "Pending" | "Waiting":
                pass


def _condition(before: Condition | None, now: Condition) -> Iterator[str]:
    said = (now.status, now.reason)
    if now.type != "Accepted" and said != ((before.status, before.reason) if before else None):
        yield f"{now.type}={now.status} ({now.reason}): {now.message}"
