"""The status of a few worlds, pinned whole."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from builders import job
from worlds import RUNNING, START, STARTING, experts, failed, observed

from atoll_api.status import Metric, TrainingJobStatus
from atoll_operator.plan.model import (
    Child,
    ChildState,
    Complete,
    Failed,
    Hub,
    Observed,
    StepProgress,
)
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import ended_in, resumed, status

GOLDEN = Path(__file__).parents[3] / "golden"
JOB = job(3, quorum=2, baseline=True)

DEGRADED = observed(
    {"island-0": RUNNING, "island-1": failed(65, "the loss is NaN", 0), "island-2": STARTING},
    ("assignment", "router", "baseline", "checkpoints/island-0/500"),
    {"island-0": StepProgress(500, 2000, 0.61, 5200.0)},
)
DONE = replace(
    observed(
        {"island-1": failed(137, "", 3)},
        ("assignment", "assignment/0", "router", "baseline", *experts(0, 2), "report"),
    ),
    metrics=(Metric(name="frechet_distance", model="ensemble/Full", value="0.379"),),
)
LOST = observed({"router": failed(65, "no data", 0)}, ("assignment",))


def say(
    world: Observed, previous: TrainingJobStatus | None = None, now: float = START + 60
) -> TrainingJobStatus:
    return status(JOB.spec, world, plan(JOB.spec, world, now), previous, now)


@pytest.mark.parametrize(
    ("name", "world"),
    [("degraded", DEGRADED), ("complete", DONE), ("failed", LOST)],
)
def test_golden(name: str, world: Observed) -> None:
    expected = json.loads((GOLDEN / f"status_{name}.json").read_text())

    assert say(world).to_document() == expected


def test_the_same_world_at_another_time_moves_no_transition() -> None:
    first = say(DEGRADED)
    later = say(DEGRADED, first, START + 90)

    assert later.conditions == first.conditions
    assert later == first


def test_a_transition_moves_when_the_status_does() -> None:
    first = say(observed({"partition": RUNNING}))
    then = say(LOST, first, START + 90)
    running = {c.type: c for c in first.conditions}["Running"]
    stopped = {c.type: c for c in then.conditions}["Running"]

    assert (running.status, stopped.status) == ("True", "False")
    assert running.last_transition_time == "2023-11-14T22:14:20Z"
    assert stopped.last_transition_time == "2023-11-14T22:14:50Z"


def test_ends_are_read_back_and_withdrawn_when_resumed() -> None:
    complete, lost = say(DONE), say(LOST)

    assert isinstance(ended_in(complete), Complete)
    told = ended_in(lost)
    assert told == Failed("RouterFailed", "router failed with exit code 65: no data")
    assert ended_in(None) is None
    again = resumed(lost, START + 90)
    assert ended_in(again) is None
    assert again.completion_time is None
    assert again.start_time == lost.start_time


def test_what_was_known_stands_until_the_hub_is_heard() -> None:
    before = resumed(say(DEGRADED), START + 90)
    unheard = say(observed(hub=replace(DEGRADED.hub, address=None)), before, START + 91)

    assert unheard.state == "Pending"
    assert (unheard.artifacts, unheard.islands) == (before.artifacts, before.islands)


def test_lists_are_cut_and_the_worst_islands_stay() -> None:
    many = job(300, partition={"type": "Random"})
    children = {f"island-{i}": RUNNING for i in range(300) if i != 250}
    reports = {f"island-{i}": StepProgress(i, 300, 0.5, 10.0) for i in range(300)}
    world = observed(
        {**children, "island-250": STARTING}, ("assignment", *experts(*range(100))), reports
    )
    told = status(many.spec, world, plan(many.spec, world, START), None, START)

    assert told.islands_ready == "100/300"
    assert len(told.islands) == 100
    assert [told.islands[0].island, told.islands[1].island] == [250, 100]
    assert len(told.artifacts) == 64
    assert not any("checkpoints" in artifact.name for artifact in told.artifacts)


def test_waiting_says_for_what() -> None:
    told = {step.name: step for step in say(observed(bound=("assignment",))).steps}

    assert told["evaluate"].message == "waits for router, baseline, the islands"
    assert told["router"].message == ""


def test_a_job_none_of_whose_steps_gets_on_says_that_it_waits() -> None:
    queued = Child(ChildState.STARTING, message="waits for the queue gpus to admit it", held=True)
    made = Child(ChildState.STARTING, message="its container is being made")

    def said(children: dict[str, Child], *bound: str) -> tuple[str, str, str]:
        world = observed(children, bound)
        found = status(JOB.spec, world, plan(JOB.spec, world, START), None, START)
        (running,) = (it for it in found.conditions if it.type == "Running")
        return found.state, running.reason, running.message

    expected = ("Pending", "Waiting", "partition waits for the queue gpus to admit it")
    assert said({"partition": queued}) == expected
    assert said({"partition": made})[:2] == ("Running", "Partitioning")
    islands = {f"island-{it}": queued for it in range(3)} | {"baseline": queued}
    assert said(islands, "assignment")[:2] == ("Pending", "Waiting")
    assert said(islands | {"island-1": RUNNING}, "assignment")[:2] == ("Running", "Training")


def test_a_hub_in_trouble_is_shown_and_a_healthy_one_is_not() -> None:
    lost = replace(DEGRADED, hub=Hub(Child(ChildState.FAILED, 10, 65, "the store is damaged")))

    assert all(step.name != "hub" for step in say(DEGRADED).steps)
    told = say(lost).steps[-1]
    assert (told.name, told.state, told.exit_code) == ("hub", "Failed", 65)
    assert (told.restarts, told.message) == (10, "the store is damaged")
    assert all(step.name != "hub" for step in say(DEGRADED, say(lost)).steps)


def test_the_rounds_of_a_job_do_not_crowd_its_models_out_of_the_status() -> None:
    records = tuple(f"islands/{i}/merges/{r}" for i in range(3) for r in range(40))
    passing = ("islands/0/rounds/7", "islands/1/lost", "islands/0/statistics")
    told = say(observed(bound=(*records, *passing, "islands/0/final", "merged", "mergeability/3")))
    assert [it.name for it in told.artifacts] == ["islands/0/final", "mergeability/3", "merged"]
