"""A process, or its hub, is killed at each of its calls in turn: nothing falls between two of them.

Drawn plans are many, and still leave out most pairs of a call and a kill; these leave out none.
`--fault-calls` runs all of them, for every strategy; without it, those of which most depends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from invariants import found
from jobs_of_faults import STRATEGIES
from plans import HUB, UNARY, Calendar, Fault, FaultPlan, Moment
from simulated import simulate

from atoll_api import names

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ISLAND: Final = names.island_step(1)
STEPS: Final = (names.PARTITION, ISLAND, names.ROUTER, names.MERGE, names.EVALUATE)
ALL: Final = tuple(
    (strategy, step, victim, UNARY)
    for strategy in STRATEGIES
    for step in STEPS
    for victim in (step, HUB)
)
SHORT: Final = (("apart", ISLAND, ISLAND, ("Bind",)),)
"""Of `make test`: whoever dies here has saved, or told, one thing and not yet the next."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = ALL if metafunc.config.getoption("fault_calls") else SHORT
    ids = [f"{strategy}-{step}-kills-{victim}" for strategy, step, victim, _ in chosen]
    metafunc.parametrize(("strategy", "step", "victim", "points"), chosen, ids=ids)


def test_a_kill_at_any_call_changes_nothing(
    strategy: str, step: str, victim: str, points: tuple[str, ...], tmp_path: Path
) -> None:
    calm = simulate(FaultPlan(0, strategy), tmp_path / "calm")
    plans = [
        FaultPlan(0, strategy, (Fault("kill", victim, moment),))
        for moment in _moments(calm.calendar, step, points)
    ]
    if not plans:
        pytest.skip("a job of this strategy has no such step, or it makes no calls")
    wrong = {}
    for number, plan in enumerate(plans):
        said = found(plan, tmp_path / str(number), calm)
        if said:
            wrong[str(plan)] = said
    assert wrong == {}, f"{len(wrong)} of {len(plans)}"


def _moments(calendar: Calendar, step: str, points: tuple[str, ...]) -> Iterator[Moment]:
    for point in points:
        for count in range(1, calendar.get((step, point), 0) + 1):
            yield Moment(step, point, count)
