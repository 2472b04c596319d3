"""How much work a step is, and what is left of it."""

from dataclasses import replace

import pytest
from builders import job
from worlds import RUNNING, START, STARTING, experts, failed, observed

from atoll_operator.plan.effort import effort, eta_seconds, percent
from atoll_operator.plan.level import level
from atoll_operator.plan.model import Observed, StepProgress
from atoll_operator.plan.pipeline import pipeline

SPEC = job(2, training={"steps": 1000, "batchSizePerIsland": 100}).spec
STEPS = {str(step.name): step for step in pipeline(SPEC)}
BEFORE_EVALUATE = ("assignment", "router")


def eta(world: Observed, now: float = START) -> int | None:
    return eta_seconds(SPEC, level(pipeline(SPEC), world), world, now)


def share(world: Observed) -> int:
    return percent(SPEC, level(pipeline(SPEC), world), world)


def test_the_baseline_works_as_much_as_all_islands_and_the_router() -> None:
    spec = job(4, baseline=True).spec
    work = {str(step.name): effort(spec, step) for step in pipeline(spec)}

    assert work["baseline"] == 4 * work["island-0"] + work["router"]
    assert all(amount > 0 for amount in work.values())


def test_percent_grows_with_the_work_and_stops_before_the_end() -> None:
    half = {"island-0": StepProgress(500, 1000)}
    worlds = [
        observed(),
        observed(bound=("assignment",)),
        observed({"island-0": RUNNING}, ("assignment",), half),
        observed(bound=("assignment", *experts(0))),
        observed({"island-1": failed()}, ("assignment", *experts(0))),
        observed(bound=(*BEFORE_EVALUATE, *experts(0, 1), "report")),
    ]
    shares = [share(world) for world in worlds]

    assert shares[0] == 0
    assert shares == sorted(set(shares))
    assert shares[-1] == 99


@pytest.mark.parametrize(
    "world",
    [
        observed(),
        observed({"partition": RUNNING}),
        observed({"island-0": STARTING, "island-1": STARTING}, BEFORE_EVALUATE),
        observed({"island-0": RUNNING}, BEFORE_EVALUATE),
    ],
)
def test_without_a_rate_there_is_no_eta(world: Observed) -> None:
    assert eta(world) is None


def test_two_islands_side_by_side_take_as_long_as_one() -> None:
    reports = {f"island-{i}": StepProgress(500, 1000, 0.5, 1000.0) for i in range(2)}
    children = dict.fromkeys(reports, RUNNING)
    evaluate_seconds = effort(SPEC, STEPS["evaluate"]) / 1000

    assert eta(observed(children, BEFORE_EVALUATE, reports)) == pytest.approx(
        50 + evaluate_seconds, abs=1
    )


def test_an_island_that_waits_for_a_core_comes_on_top() -> None:
    reports = {"island-0": StepProgress(500, 1000, 0.5, 1000.0)}
    children = {"island-0": RUNNING, "island-1": STARTING}
    evaluate_seconds = effort(SPEC, STEPS["evaluate"]) / 1000

    assert eta(observed(children, BEFORE_EVALUATE, reports)) == pytest.approx(
        150 + evaluate_seconds, abs=1
    )


def test_evaluating_is_timed_by_the_clock() -> None:
    bound = (*BEFORE_EVALUATE, *experts(0, 1))
    reports = {"evaluate": StepProgress(3, 12)}
    world = observed({"evaluate": RUNNING}, bound, reports)

    assert eta(world, START + 30) == 90
    assert eta(replace(world, progress={}), START + 30) is None


def test_a_seed_works_with_the_batch_of_all_islands() -> None:
    strategy = {"type": "ExpertEnsemble", "expertEnsemble": {"seedSteps": 50}}
    spec = job(4, strategy=strategy).spec
    work = {str(step.name): effort(spec, step) for step in pipeline(spec)}

    assert work["seed"] == 50 * 4 * spec.training.batch_size_per_island


def test_evaluating_text_draws_no_samples() -> None:
    data = {"source": "builtin://python-stdlib"}
    spec = job(4, evaluation={"samples": 1_000_000}, task={"type": "Language"}, data=data).spec
    work = {str(step.name): effort(spec, step) for step in pipeline(spec)}

    assert work["evaluate"] < work["island-0"]
