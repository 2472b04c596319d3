"""Every cell of the table: each role, each action, each kind of ref or step."""

import itertools
from collections.abc import Iterator

import pytest

from atoll_api import names
from atoll_api.names import Process
from atoll_worker.exchange.access import Action, Circle, may

JOB = "job-1"
CALLERS = {
    "partition": Process(JOB, "partition"),
    "seed": Process(JOB, "seed"),
    "island-1": Process(JOB, "island", 1),
    "router": Process(JOB, "router"),
    "baseline": Process(JOB, "baseline"),
    "merge": Process(JOB, "merge"),
    "evaluate": Process(JOB, "evaluate"),
    "operator": Process(JOB, "operator"),
    "cli": Process(JOB, "cli"),
    "hub": Process(JOB, "hub"),
    "stranger": Process(JOB, "stranger"),
    "foreign operator": Process("job-2", "operator"),
    "foreign island-1": Process("job-2", "island", 1),
}
OWN_PARTS = {
    "assignment/1",
    "experts/1",
    "checkpoints/island-1/40",
    "islands/1/rounds/3",
    "islands/1/merges/3",
    "islands/1/final",
    "islands/1/statistics",
}
CIRCLE = Circle({0: frozenset({10}), 1: frozenset({0})})
REFS = {
    *OWN_PARTS,
    "assignment",
    "assignment/0",
    "assignment/10",
    "init",
    "init/0",
    "seed",
    "clusters",
    "checkpoints/seed/40",
    "experts/0",
    "experts/10",
    "checkpoints/island-0/40",
    "checkpoints/island-10/40",
    "checkpoints/router/40",
    "checkpoints/baseline/40",
    "islands/0/rounds/3",
    "islands/10/rounds/3",
    "islands/10/rounds/0",
    "islands/1/rounds",
    "islands/0/merges/3",
    "islands/10/merges/3",
    "islands/0/final",
    "islands/10/final",
    "islands/0/statistics",
    "islands/0/lost",
    "islands/1/lost",
    "mean",
    "merged",
    "mergeability/3",
    "router",
    "baseline",
    "report",
    "page",
    "other",
    "assignment/1/more",
    "experts",
    "",
    "checkpoints/island-1/",
}
STEPS = {
    *("partition", "seed", "island-0", "island-1", "island-10"),
    *("router", "baseline", "merge", "evaluate", "hub"),
}

_SEED_CHECKPOINT = {"checkpoints/seed/40"}
_ROUTER_CHECKPOINT, _BASELINE_CHECKPOINT = {"checkpoints/router/40"}, {"checkpoints/baseline/40"}
_PARTS = {"assignment", "assignment/0", "assignment/1", "assignment/10"}
_FINALS = {"islands/0/final", "islands/1/final", "islands/10/final"}
_RECORDS = {"islands/0/merges/3", "islands/1/merges/3", "islands/10/merges/3"}
_SNAPSHOTS = {ref for ref in REFS if "/rounds/" in ref}
_LOST = {"islands/0/lost", "islands/1/lost"}
_MERGED = {"mean", "merged", "mergeability/3"}
_SCORED = {
    *_FINALS,
    "merged",
    "mergeability/3",
    "assignment",
    "init",
    "seed",
    "clusters",
    "experts/0",
    "experts/1",
    "experts/10",
    "router",
    "baseline",
    "report",
    "page",
}
BINDS = {
    "partition": {*_PARTS, "init", "clusters"},
    "seed": {"seed", *_SEED_CHECKPOINT},
    "island-1": OWN_PARTS - {"assignment/1"},
    "router": {"router", *_ROUTER_CHECKPOINT},
    "baseline": {"baseline", *_BASELINE_CHECKPOINT},
    "merge": _MERGED,
    "evaluate": {"report", "page"},
}
READS = {
    "partition": BINDS["partition"],
    "seed": {"assignment", *BINDS["seed"]},
    "island-1": {*OWN_PARTS, "init", "seed", "mean", "islands/0/rounds/3"},
    "merge": {
        *_MERGED,
        *_FINALS,
        *_SNAPSHOTS,
        *_RECORDS,
        "islands/0/statistics",
        "islands/1/statistics",
        "assignment",
        "init",
    },
    "router": {"assignment", *BINDS["router"]},
    "baseline": {"assignment", "init", "seed", *BINDS["baseline"]},
    "evaluate": _SCORED,
    "cli": REFS,
}
ALLOWED: dict[Action, dict[str, set[str]]] = {
    Action.BIND: BINDS,
    Action.READ: READS,
    Action.EXCUSE: {"island-1": {"islands/0/rounds/3"}, "operator": _LOST},
    Action.LIST: {
        **READS,
        "island-1": {*READS["island-1"], *_RECORDS, *_LOST, "mergeability/3"},
        "merge": {*READS["merge"], *_LOST},
        "evaluate": {*_SCORED, *_LOST},
        "operator": REFS,
    },
    Action.DROP: {
        "island-1": {"checkpoints/island-1/40", "islands/1/rounds/3", "islands/1/merges/3"},
        "seed": _SEED_CHECKPOINT,
        "router": _ROUTER_CHECKPOINT,
        "baseline": _BASELINE_CHECKPOINT,
        "operator": REFS,
    },
    Action.REPORT: {
        name: {name}
        for name in ("partition", "seed", "island-1", "router", "baseline", "merge", "evaluate")
    },
    Action.FOLLOW: {
        **{
            name: {name}
            for name in ("partition", "seed", "island-1", "router", "baseline", "merge")
        },
        **dict.fromkeys(("evaluate", "operator", "cli"), STEPS),
    },
}
CELLS = [
    (action, caller, what)
    for action, caller in itertools.product(Action, CALLERS)
    for what in sorted(STEPS if action in {Action.REPORT, Action.FOLLOW} else REFS)
]


@pytest.mark.parametrize(("action", "caller", "what"), CELLS)
def test_every_cell(action: Action, caller: str, what: str) -> None:
    allowed = what in ALLOWED[action].get(caller, set())
    assert may(CALLERS[caller], action, what, JOB, CIRCLE) is allowed


def test_who_has_no_neighbours_reads_nobodys_snapshots() -> None:
    island = CALLERS["island-1"]
    readable = {ref for ref in REFS if may(island, Action.READ, ref, JOB)}
    assert readable == READS["island-1"] - {"islands/0/rounds/3"}


def test_in_a_common_basis_all_read_and_excuse_the_first_snapshots_and_no_other() -> None:
    circle = Circle(CIRCLE.neighbours, common_basis=True)
    island = CALLERS["island-1"]
    for action in (Action.READ, Action.EXCUSE):
        more = {ref for ref in REFS if may(island, action, ref, JOB, circle)}
        assert more - {r for r in REFS if may(island, action, r, JOB, CIRCLE)} == {
            "islands/10/rounds/0"
        }


@pytest.mark.parametrize("action", [Action.LIST, Action.READ, Action.EXCUSE])
def test_a_neighbour_is_called_by_its_number_and_in_no_other_way(action: Action) -> None:
    called = ("0", "00", "+0", "-0", "0x0", " 0", "\u0660", "\u00b2", "", "*", "{neighbour}")
    refs = [f"islands/{it}/rounds/3" for it in called]
    allowed = [may(CALLERS["island-1"], action, it, JOB, CIRCLE) for it in refs]
    assert allowed == [True] + [False] * (len(called) - 1)


def test_to_look_up_a_right_is_as_much_work_with_a_thousand_neighbours_as_with_one() -> None:
    class Asked(frozenset[int]):
        looks = 0

        def __contains__(self, island: object) -> bool:
            Asked.looks += 1
            return super().__contains__(island)

        def __iter__(self) -> Iterator[int]:
            raise AssertionError("all neighbours are looked at")

    circle = Circle({1: Asked(range(2, 1000))})
    for ref in ("islands/7/rounds/3", "islands/7/merges/3", "islands/7/final", "experts/3"):
        may(CALLERS["island-1"], Action.LIST, ref, JOB, circle)
    assert Asked.looks == 1


@pytest.mark.parametrize("ref", sorted(REFS))
def test_no_ref_can_be_bound_by_two(ref: str) -> None:
    callers = [*CALLERS.values(), Process(JOB, "island", 0), Process(JOB, "island", 10)]
    assert sum(may(caller, Action.BIND, ref, JOB) for caller in callers) <= 1


def test_what_the_refs_are_called_is_what_the_table_says() -> None:
    island = CALLERS["island-1"]
    assert may(island, Action.READ, names.island_assignment_ref(1), JOB)
    assert may(island, Action.READ, names.INIT_REF, JOB)
    assert may(island, Action.READ, names.SEED_REF, JOB)
    assert may(CALLERS["evaluate"], Action.READ, names.CLUSTERS_REF, JOB)
    assert may(island, Action.BIND, names.expert_ref(1), JOB)
    assert may(island, Action.BIND, names.checkpoint_ref(names.island_step(1), 3), JOB)
    assert may(island, Action.BIND, names.snapshot_ref(1, 3), JOB)
