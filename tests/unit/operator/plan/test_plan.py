"""What to do in each situation, as tables."""

from dataclasses import replace

import pytest
from builders import job
from worlds import (
    GONE_WELL,
    RUNNING,
    SERVING,
    START,
    STARTING,
    STOPPED,
    experts,
    failed,
    observed,
)

from atoll_api import names
from atoll_api.reasons import FailedReason
from atoll_operator.plan.model import (
    Child,
    ChildState,
    Complete,
    DropRefs,
    ExcuseRefs,
    Failed,
    Hub,
    Observed,
    Ongoing,
    Plan,
    StartHub,
    StartStep,
    StopHub,
    Stopped,
    StopStep,
)
from atoll_operator.plan.plan import plan

JOB = job(3, quorum=2, baseline=True)
READY = ("assignment", "router", "baseline")
ALL = (*READY, *experts(0, 1, 2), "report")


def decide(world: Observed, now: float = START) -> Plan:
    return plan(JOB.spec, world, now)


def started(decided: Plan) -> list[str]:
    return [action.step.name for action in decided.actions if isinstance(action, StartStep)]


@pytest.mark.parametrize(
    "hub",
    [Hub(), Hub(STOPPED), Hub(STOPPED, "127.0.0.1:7000")],
    ids=["none", "stopped", "stopped after serving"],
)
def test_without_a_hub_the_hub_is_started_and_nothing_else(hub: Hub) -> None:
    assert decide(observed(hub=hub)).actions == (StartHub(),)


def test_the_first_step_starts_with_a_hub_that_it_can_wait_for() -> None:
    decided = decide(observed(hub=Hub(known_beforehand=True)))
    assert isinstance(decided.actions[0], StartHub)
    assert started(decided) == ["partition"]


@pytest.mark.parametrize("hub", [Hub(STARTING), Hub(RUNNING), Hub(Child(ChildState.RESTARTING))])
def test_no_step_starts_before_the_bindings_have_been_read(hub: Hub) -> None:
    assert decide(observed(hub=hub)) == Plan((), Ongoing())


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (observed(), ["partition"]),
        (observed({"partition": STARTING}), []),
        (observed({"partition": STOPPED}), ["partition"]),
        (
            observed(bound=("assignment",)),
            ["baseline", "island-0", "island-1", "island-2", "router"],
        ),
        (
            observed({"partition": failed()}, ("assignment",)),
            ["baseline", "island-0", "island-1", "island-2", "router"],
        ),
        (observed({"island-1": RUNNING}, (*READY, *experts(0))), ["island-2"]),
        (observed(bound=(*READY, *experts(0, 1, 2))), ["evaluate"]),
        (observed({"island-2": RUNNING}, (*READY, *experts(0, 1))), []),
        (observed({"island-2": failed()}, (*READY, *experts(0, 1))), ["evaluate"]),
        (
            observed(
                {"island-2": failed(), "baseline": RUNNING},
                ("assignment", "router", *experts(0, 1)),
            ),
            [],
        ),
    ],
)
def test_what_is_ready_and_open_is_started(world: Observed, expected: list[str]) -> None:
    decided = decide(world)

    assert started(decided) == expected
    assert decided.outcome == Ongoing()


def test_all_bound_is_complete_and_no_child_starts() -> None:
    decided = decide(observed(bound=ALL))

    assert isinstance(decided.outcome, Complete)
    assert "3 of 3 experts" in decided.outcome.message
    assert decided.actions == (StopHub(),)


def test_a_report_without_a_lost_island_is_complete() -> None:
    decided = decide(observed(bound=(*READY, *experts(0, 2), "report")))

    assert isinstance(decided.outcome, Complete)
    assert "2 of 3 experts" in decided.outcome.message


@pytest.mark.parametrize(
    ("world", "reason", "words"),
    [
        (
            observed({"partition": failed(65, "no images in /data", 0)}),
            "PartitionFailed",
            "partition failed with exit code 65: no images in /data",
        ),
        (
            observed({"router": failed(137)}, ("assignment",)),
            "RouterFailed",
            "router failed with exit code 137 (SIGKILL) after 3 restarts: it broke",
        ),
        (
            observed({"baseline": failed()}, ("assignment",)),
            "BaselineFailed",
            "baseline failed with exit code 1 after 3 restarts: it broke",
        ),
        (
            observed({"evaluate": GONE_WELL}, (*READY, *experts(0, 1, 2))),
            "EvaluateFailed",
            "evaluate ended well but nothing is bound to report",
        ),
        (
            observed({"island-0": failed(65, "the loss is NaN", 0), "island-2": failed(1, "")}),
            "QuorumLost",
            (
                "1 of 3 islands are left, 2 are needed: island-0 failed with exit code 65: "
                "the loss is NaN; island-2 failed with exit code 1 after 3 restarts"
            ),
        ),
        (
            observed(hub=Hub(failed(73, "port 7000 is taken", 0))),
            "HubLost",
            "the hub failed with exit code 73: port 7000 is taken",
        ),
    ],
)
def test_failures_say_who_and_why(world: Observed, reason: FailedReason, words: str) -> None:
    assert decide(world).outcome == Failed(reason, words)


def test_the_deadline_fails_the_job() -> None:
    limited = job(3, runPolicy={"activeDeadlineSeconds": 60}).spec

    assert plan(limited, observed(), START + 59.9).outcome == Ongoing()
    late = plan(limited, observed({"partition": RUNNING}), START + 61)
    assert isinstance(late.outcome, Failed)
    assert late.outcome.reason == "DeadlineExceeded"
    assert late.actions == (StopStep(names.PARTITION, "the job failed: DeadlineExceeded"),)


def test_a_complete_job_does_not_mind_its_deadline() -> None:
    limited = job(3, runPolicy={"activeDeadlineSeconds": 60}).spec

    assert isinstance(plan(limited, observed(bound=ALL), START + 61).outcome, Complete)


def test_at_the_end_the_children_stop_first_and_the_hub_last() -> None:
    children = {"island-0": failed(), "island-1": failed(), "island-2": RUNNING, "router": STARTING}
    ending = decide(observed(children, ("assignment",)))
    assert [action.name for action in ending.actions if isinstance(action, StopStep)] == [
        "island-2",
        "router",
    ]
    assert StopHub() not in ending.actions

    stopped = {**children, "island-2": STOPPED, "router": STOPPED}
    assert decide(observed(stopped, ("assignment",))).actions == (StopHub(),)
    gone = replace(SERVING, child=STOPPED)
    assert decide(observed(stopped, ("assignment",), hub=gone)).actions == ()


def test_an_end_is_not_taken_back() -> None:
    told = Failed("DeadlineExceeded", "too late")
    world = replace(observed(bound=ALL), ended=told)

    assert decide(world) == Plan((StopHub(),), told)
    assert decide(replace(observed(), ended=told)).actions == (StopHub(),)


def test_stop_ends_the_children_and_then_the_hub() -> None:
    running = {"island-0": RUNNING, "island-1": STARTING}
    stopping = decide(observed(running, ("assignment",), stop=True))
    assert stopping.outcome == Stopped()
    assert {type(action) for action in stopping.actions} == {StopStep}
    assert len(stopping.actions) == 2

    at_rest = {"island-0": STOPPED, "island-1": STOPPED}
    assert decide(observed(at_rest, ("assignment",), stop=True)).actions == (StopHub(),)


def test_stop_keeps_the_checkpoints_that_resume_needs() -> None:
    bound = ("assignment", "checkpoints/island-0/10", "checkpoints/island-0/20")

    assert decide(observed(bound=bound, stop=True)).actions == (StopHub(),)


def test_stale_checkpoints_are_dropped_while_training() -> None:
    bound = ("assignment", *(f"checkpoints/island-0/{n}" for n in (9, 10, 100)))
    running = dict.fromkeys(("baseline", "router", "island-0", "island-1", "island-2"), RUNNING)

    (drop,) = decide(observed(running, bound)).actions
    assert isinstance(drop, DropRefs)
    assert drop.refs == ("checkpoints/island-0/9",)


def test_complete_drops_all_checkpoints_before_the_hub_stops() -> None:
    lost = ("checkpoints/island-2/9", "checkpoints/island-2/10")
    decided = decide(observed(bound=(*READY, *experts(0, 1), "report", *lost)))

    drop, stop = decided.actions
    assert isinstance(drop, DropRefs)
    assert set(drop.refs) == set(lost)
    assert stop == StopHub()


def test_a_child_that_is_no_step_is_stopped() -> None:
    decided = decide(observed({"island-9": RUNNING, "partition": RUNNING}))

    assert decided.actions == (StopStep(names.island_step(9), "it is no step of this job"),)


MERGING = job(3, quorum=2, strategy={"type": "SingleMerge"})


def test_an_island_that_is_given_up_is_excused_and_back_when_the_job_is_resumed() -> None:
    lost = observed(bound=("assignment",), children={"island-1": failed(1)})
    assert ExcuseRefs((names.lost_ref(1),), "an island that is given up merges no more") in (
        plan(MERGING.spec, lost, START).actions
    )
    resumed = plan(MERGING.spec, observed(bound=("assignment", "islands/1/lost")), START).actions
    assert isinstance(resumed[0], DropRefs)
    assert resumed[0].refs == ("islands/1/lost",)


DIVIDED = ("assignment", "init")
MEASURED = tuple(f"islands/{i}/{part}" for i in range(3) for part in ("final", "statistics"))


@pytest.mark.parametrize(
    ("gone", "again"),
    [
        ("assignment/1", "partition"),
        ("init", "partition"),
        ("islands/1/final", "island-1"),
        ("islands/1/statistics", "island-1"),
    ],
)
def test_whoever_made_what_was_removed_makes_it_again(gone: str, again: str) -> None:
    world = observed(bound=(*DIVIDED, *MEASURED))
    left = {ref: it for ref, it in world.bindings.items() if ref != gone}
    assert again not in started(plan(MERGING.spec, world, START))
    assert again in started(plan(MERGING.spec, replace(world, bindings=left), START))


@pytest.mark.parametrize("children", [{}, {"island-1": RUNNING}], ids=["open", "runs"])
def test_a_mean_goes_with_the_weights_that_it_counts(children: dict[str, Child]) -> None:
    bound = tuple(ref for ref in (*DIVIDED, *MEASURED, "mean") if ref != "islands/1/final")
    first = plan(MERGING.spec, observed(children, bound), START).actions[0]
    assert isinstance(first, DropRefs)
    assert first.refs == ("mean", *(f"islands/{i}/statistics" for i in range(3)))


@pytest.mark.parametrize(
    ("children", "bound"),
    [
        ({"island-1": failed()}, ("islands/0/final", "islands/2/final")),
        ({"island-1": RUNNING}, MEASURED),
        ({}, ("islands/0/final", "merged")),
    ],
    ids=["one is given up", "all are there", "it is merged"],
)
def test_a_mean_of_all_that_finish_stays(
    children: dict[str, Child], bound: tuple[str, ...]
) -> None:
    decided = plan(MERGING.spec, observed(children, (*DIVIDED, *bound, "mean")), START)
    assert not any(isinstance(action, DropRefs) for action in decided.actions)
