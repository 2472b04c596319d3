"""Fault plans with real processes: what a run stands on fails: network, disk, its files.

`--fault-plans 40` runs all of them, of this file and `test_processes.py`; `--fault-seed S` one.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from real_invariants import broken
from real_plans import COUNT, DAMAGE, NEEDS_ROOT, draw
from real_runs import Calm, row, tell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEEDS = tuple(it for it in range(COUNT) if draw(it).has(*NEEDS_ROOT, *DAMAGE))
SHORT = (18, 25)


def test_a_run_mends_what_it_can_and_says_the_rest(
    seed_of_processes: int,
    calm: Calm,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    plan = draw(seed_of_processes)
    story = tell(plan, tmp_path / "place", calm.data)
    record_property("fault", row(story))
    assert broken(story, calm.of(plan.strategy)) == []
