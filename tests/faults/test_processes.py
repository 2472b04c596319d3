"""Fault plans with real processes: signals to the processes of a run, at every phase of every strategy.

`--fault-plans 40` runs all of them, of this file and `test_surroundings.py`; `--fault-seed S` one.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from real_invariants import broken
from real_plans import COUNT, DAMAGE, NEEDS_ROOT, draw
from real_runs import Calm, row, tell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEEDS = tuple(it for it in range(COUNT) if not draw(it).has(*NEEDS_ROOT, *DAMAGE))
SHORT = (9, 30)


def test_a_run_ends_as_without_faults(
    seed_of_processes: int,
    calm: Calm,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    plan = draw(seed_of_processes)
    story = tell(plan, tmp_path / "place", calm.data)
    record_property("fault", row(story))
    assert broken(story, calm.of(plan.strategy)) == []
