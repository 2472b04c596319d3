"""When a step came into its states is remembered once, in order, and never made up."""

from dataclasses import replace

import pytest
from builders import job
from worlds import RUNNING, START, STARTING, experts, failed, observed

from atoll_api.status import StepStatus, TrainingJobStatus
from atoll_operator.plan.history import REMEMBERED, history, moment
from atoll_operator.plan.model import Child, ChildState, Observed, StepProgress
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import status

JOB = job(2)
ALIVE = {"island-0": StepProgress(5, 10)}


def say(
    world: Observed, previous: TrainingJobStatus | None = None, after: float = 0.0
) -> TrainingJobStatus:
    now = START + after
    return status(JOB.spec, world, plan(JOB.spec, world, now), previous, now)


def told(said: TrainingJobStatus, name: str = "island-0") -> list[tuple[str, str]]:
    """States and seconds of one step."""
    (step,) = (it for it in (*said.islands, *said.steps) if it.name == name)
    return [(it.state, it.since.removeprefix("2023-11-14T22:13:")) for it in step.history]


def test_from_the_wait_to_the_end() -> None:
    waiting = say(observed(bound=("assignment",)))
    assert told(waiting) == []
    pending = say(observed({"island-0": STARTING}, ("assignment",)), waiting, 1.5)
    began = replace(RUNNING, since=START + 3.25)
    running = say(observed({"island-0": began}, ("assignment",), ALIVE), pending, 4)
    done = say(observed(bound=("assignment", *experts(0))), running, 9)
    assert told(done) == [
        ("Pending", "21.500Z"),
        ("Running", "23.250Z"),
        ("Succeeded", "29.000Z"),
    ]


def test_the_same_world_later_adds_nothing() -> None:
    world = observed({"island-0": RUNNING}, ("assignment",), ALIVE)
    first = say(world)
    assert say(world, first, 60).islands == first.islands


def test_a_restart_is_told_even_if_nobody_saw_the_wait() -> None:
    first = say(observed({"island-0": RUNNING}, ("assignment",), ALIVE))
    again = Child(ChildState.RUNNING, restarts=1, since=START + 7)
    second = say(observed({"island-0": again}, ("assignment",), ALIVE), first, 8)
    assert told(second) == [("Running", "20.000Z"), ("Running", "27.000Z")]


def test_a_wait_between_two_attempts_and_a_step_that_is_given_up() -> None:
    first = say(observed({"island-0": RUNNING}, ("assignment",), ALIVE))
    waits = Child(ChildState.RESTARTING, restarts=1, exit_code=1)
    second = say(observed({"island-0": waits}, ("assignment",), ALIVE), first, 2)
    third = say(observed({"island-0": failed()}, ("assignment",), ALIVE), second, 5)
    assert [state for state, _ in told(third)] == ["Running", "Pending", "Failed"]


def test_a_step_too_short_to_be_seen_running_has_its_last_attempt() -> None:
    pending = say(observed({"partition": STARTING}))
    gone = Child(ChildState.SUCCEEDED, exit_code=0, since=START + 1)
    done = say(observed({"partition": gone}, ("assignment",)), pending, 3)
    assert [state for state, _ in told(done, "partition")] == ["Pending", "Running", "Succeeded"]


@pytest.mark.parametrize(("since", "told"), [(START + 3, ["Running"]), (START, [])])
def test_a_second_attempt_too_short_to_be_seen(since: float, told: list[str]) -> None:
    first = say(observed({"island-0": RUNNING}, ("assignment",), ALIVE))
    waits = Child(ChildState.RESTARTING, restarts=1, exit_code=1)
    second = say(observed({"island-0": waits}, ("assignment",), ALIVE), first, 2)
    gone = Child(ChildState.SUCCEEDED, restarts=1, exit_code=0, since=since)
    world = observed({"island-0": gone}, ("assignment", *experts(0)))
    (island,) = (it for it in say(world, second, 5).islands if it.island == 0)
    states = [it.state for it in island.history]
    assert states == ["Running", "Pending", *told, "Succeeded"]


def test_what_was_done_before_anybody_looked_has_no_time() -> None:
    assert told(say(observed(bound=("assignment", *experts(0))))) == []


def test_an_attempt_does_not_begin_before_the_wait_for_it() -> None:
    pending = say(observed({"island-0": STARTING}, ("assignment",)), after=5.5)
    early = replace(RUNNING, since=START + 5)  # the clock of a node tells whole seconds
    running = say(observed({"island-0": early}, ("assignment",), ALIVE), pending, 7)
    assert told(running) == [("Pending", "25.500Z"), ("Running", "25.500Z")]


def test_of_many_moments_the_first_and_the_last_stay() -> None:
    step = StepStatus(name="island-0", island=0, state="Running")
    for restarts in range(1, 20):
        child = Child(ChildState.RUNNING, restarts, since=START + restarts)
        now = step.model_copy(update={"restarts": restarts})
        step = now.model_copy(update={"history": history(now, step, child, START + restarts)})
    seconds = [it.since for it in step.history]
    assert len(seconds) == REMEMBERED
    assert seconds == [moment(START + it) for it in (1, *range(13, 20))]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (START + 0.9999, "2023-11-14T22:13:20.999Z")],
)
def test_moments_have_milliseconds(seconds: float, text: str) -> None:
    assert moment(seconds) == text
