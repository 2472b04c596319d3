"""What people are told when a status changes."""

from typing import Any

from atoll_api.status import StepState, StepStatus, TrainingJobStatus
from atoll_operator.plan.events import events


def one(state: StepState, restarts: int = 0, message: str = "") -> TrainingJobStatus:
    island = StepStatus(name="island-0", island=0, state=state, restarts=restarts, message=message)
    return TrainingJobStatus(islands=(island,))


def lines(previous: Any, current: Any) -> tuple[str, ...]:
    return tuple(event.message for event in events(previous, current))


def test_steps_are_told_when_they_change() -> None:
    assert lines(None, one("Waiting")) == ()
    assert lines(one("Waiting"), one("Pending")) == ()
    assert lines(one("Pending"), one("Running")) == ("island-0: runs",)
    assert lines(one("Running"), one("Pending", 1)) == ("island-0: restart 1",)
    assert lines(one("Running"), one("Succeeded")) == ("island-0: done",)
    assert lines(one("Running"), one("Failed", 0, "it broke")) == ("island-0: it broke",)
    assert lines(one("Running"), one("Running")) == ()
