"""Seeded fault plans over whole jobs in simulated time; `simulated` says how, `invariants` what holds.

pytest tests/faults/test_simulated.py --fault-plans 160
pytest tests/faults/test_simulated.py --fault-seed 17
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from invariants import broken
from jobs_of_faults import STRATEGIES
from plans import KINDS, FaultPlan, draw
from simulated import Story, row, simulate

from atoll_operator.plan.model import Complete

pytestmark = pytest.mark.timeout(600)

NAMES = sorted(STRATEGIES)
SEEDS = tuple(range(160))
SHORT = (2, 8, 12, 21, 24, 25, 27)
"""Of `make test`: one a strategy, and most kinds of faults."""

Calm = Callable[[str], Story]


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """The run of a strategy to which nothing happens."""
    known: dict[str, Story] = {}

    def of(strategy: str) -> Story:
        if strategy not in known:
            folder = tmp_path_factory.mktemp(f"calm-{strategy}")
            known[strategy] = simulate(FaultPlan(0, strategy), folder)
        return known[strategy]

    return of


def plan_of(seed: int, calm: Calm) -> FaultPlan:
    strategy = NAMES[seed % len(NAMES)]
    return draw(seed, strategy, calm(strategy).calendar)


def test_the_few_are_of_every_strategy() -> None:
    assert sorted(NAMES[seed % len(NAMES)] for seed in SHORT) == NAMES


def test_a_run_holds_what_it_promises(
    seed_of_simulation: int,
    calm: Calm,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    plan = plan_of(seed_of_simulation, calm)
    story = simulate(plan, tmp_path / "run")
    record_property("fault", row(story))
    assert not broken(story, calm(plan.strategy)), f"{plan}\n{story.struck}\n{story.errors}"


@pytest.mark.parametrize("strategy", ["ensemble", "deadline"])
def test_a_run_without_faults_is_the_same_each_time(
    strategy: str, calm: Calm, tmp_path: Path
) -> None:
    again = simulate(FaultPlan(0, strategy), tmp_path)
    assert isinstance(again.outcome, Complete)
    assert again.digests == calm(strategy).digests
    assert again.calendar == calm(strategy).calendar
    assert again.seconds == calm(strategy).seconds
    assert not broken(again, calm(strategy))


def test_a_plan_is_the_same_each_time_and_every_kind_is_drawn(calm: Calm) -> None:
    calendar = calm("ring").calendar
    plans = [draw(seed, "ring", calendar) for seed in range(200)]
    assert plans == [draw(seed, "ring", calendar) for seed in range(200)]
    assert {fault.kind for plan in plans for fault in plan.faults} == KINDS.keys()
    assert {step for step, _ in calendar} == {fault.at.step for it in plans for fault in it.faults}
