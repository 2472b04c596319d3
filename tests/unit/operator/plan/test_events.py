"""What people are told when a status changes."""

from atoll_api.status import StepState, StepStatus, TrainingJobStatus
from atoll_operator.plan.events import events


def one(state: StepState, restarts: int = 0, message: str = "") -> TrainingJobStatus:
    island = StepStatus(name="island-0", island=0, state=state, restarts=restarts, message=message)
    return TrainingJobStatus(islands=(island,))


def test_steps_are_told_when_they_change() -> None:
    assert events(None, one("Waiting")) == ()
    assert events(one("Waiting"), one("Pending")) == ()
    assert events(one("Pending"), one("Running")) == ("island-0: runs",)
    assert events(one("Running"), one("Pending", 1)) == ("island-0: restart 1",)
    assert events(one("Running"), one("Succeeded")) == ("island-0: done",)
    assert events(one("Running"), one("Failed", 0, "it broke")) == ("island-0: it broke",)
    assert events(one("Running"), one("Running")) == ()
