"""The forty plans for real processes meet every kind, phase, target and strategy; checks can fail."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_processes
import test_surroundings
from jobs_of_faults import STRATEGIES
from plans import HUB, OPERATOR, Fault, FaultPlan, Moment
from real_faults import Struck
from real_invariants import broken
from real_plans import COUNT, DAMAGE, FILES, HELD, KINDS, NURSERY, PHASES, draw, phase_of
from real_runs import Story

PLANS = [draw(seed) for seed in range(COUNT)]
FAULTS = [fault for plan in PLANS for fault in plan.faults]


def test_a_seed_is_a_plan() -> None:
    assert [draw(seed) for seed in range(COUNT)] == PLANS
    assert draw(COUNT) != PLANS[0]


def test_nothing_is_left_to_chance() -> None:
    assert {it.kind for it in FAULTS} == set(KINDS)
    assert {it.strategy for it in PLANS} == set(STRATEGIES)
    assert {phase_of(it) for it in FAULTS} == set(PHASES)
    signalled = {it.target.partition("-")[0] for it in FAULTS if it.kind not in DAMAGE}
    assert signalled == {
        HUB,
        OPERATOR,
        NURSERY,
        "partition",
        "island",
        "router",
        "merge",
        "evaluate",
    }
    assert {it.target for it in FAULTS if it.kind in DAMAGE} == set(FILES)


def test_a_plan_holds_one_island_at_most() -> None:
    for seed in range(10 * COUNT):
        assert sum(it.at.point in HELD for it in draw(seed).faults) <= 1


def test_every_plan_is_run_by_one_of_the_files() -> None:
    assert sorted(test_processes.SEEDS + test_surroundings.SEEDS) == list(range(COUNT))
    assert set(test_processes.SHORT) <= set(test_processes.SEEDS)
    assert set(test_surroundings.SHORT) <= set(test_surroundings.SEEDS)


def story(folder: Path, **changed: Any) -> Story:
    """A run of which all is well, with something changed."""
    fault = Fault("kill", HUB, Moment(HUB, "begins", 1))
    complete = {"type": "Complete", "status": "True", "message": ""}
    status = {"state": "Complete", "conditions": [complete], "islands": []}
    well = Story(
        plan=FaultPlan(7, "ensemble", (fault,)),
        job=folder / "job.yaml",
        folder=folder,
        endings=((0, ""),),
        status=status,
        digests={"experts/0": "a"},
        named={"experts/0": frozenset("a")},
        struck=(Struck(fault, hit=True, seconds=1.0),),
        left=(),
        listening=(),
        locked=False,
        remedies=(),
        unreadable={},
        histories={},
        records={},
        files=("job.json",),
    )
    return replace(well, **changed)


def test_a_run_of_which_all_is_well_passes(tmp_path: Path) -> None:
    assert broken(story(tmp_path), story(tmp_path)) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"endings": ((1, "atoll: no"),)}, r"ended with 1: atoll: no"),
        ({"endings": ((-9, ""), (0, ""))}, r"ended with -9"),
        ({"status": {"state": "Running", "conditions": [], "islands": []}}, r"says Running"),
        ({"left": ("7 atoll_worker",)}, r"processes are left: .*7 atoll_worker"),
        ({"listening": ("127.0.0.1:7",)}, r"listens still"),
        ({"locked": True}, r"the folder is locked"),
        ({"files": ("status.json.draft",)}, r"half-written"),
        ({"files": ("hub/incoming/7.part",)}, r"half-written"),
        ({"unreadable": {"experts/0": "lost"}}, r"cannot be read"),
        ({"digests": {"experts/0": "b"}}, r"other digests .*experts/0"),
        ({"digests": {}}, r"experts/0 was named as \['a'\] and is gone"),
        ({"named": {"experts/0": frozenset("ab")}}, r"was named as \['a', 'b'\]"),
        (
            {"struck": (Struck(PLANS[0].faults[0], hit=False, note="late"),)},
            r"did not happen: late",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_seed(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    found = "\n".join(broken(story(tmp_path, **changed), story(tmp_path)))
    assert re.search(words, found)
    assert "ensemble, seed 7: kill hub" in found
