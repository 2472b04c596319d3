"""Islands between rounds, on threads that take turns: what each goes on from, and what it keeps."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from pydantic import JsonValue
from torch import Tensor, nn

from atoll_api import names
from atoll_api.spec.merging import IterativeMerge, OuterNesterov, Topology
from atoll_api.spec.training import Optimizer
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryCircle
from atoll_worker.merge.course import MixingCourse
from atoll_worker.merge.repair import Spread
from atoll_worker.ports import Artifact
from atoll_worker.train.checkpoint import restore, snapshot
from atoll_worker.train.loop import LoopSettings, TrainingState, start_state
from atoll_worker.train.merging import Merging, Rules

SETTINGS = LoopSettings("island", 30, Optimizer(), 0.0, 0, "expert")
FULL = Topology(type="FullyConnected")
COURSE = MixingCourse(IterativeMerge(topology=FULL, steps_per_round=10, evaluations=0), 3, 30)


class Linear(nn.Module):
    """Two numbers."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(values))


class Reversing:
    """A network whose two numbers may change places, and that has no statistics."""

    def move(
        self, reference: Mapping[str, Tensor], own: Mapping[str, Tensor]
    ) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
        same = bool((reference["weight"].argsort() == own["weight"].argsort()).all())
        return lambda tensors: {n: it if same else it.flip(0) for n, it in tensors.items()}

    def spreads(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Spread]:
        return {"": Spread(tensors["weight"], tensors["weight"].abs())}

    def repaired(
        self, merged: Mapping[str, Tensor], ends: Sequence[tuple[Mapping[str, Spread], float]]
    ) -> dict[str, Tensor]:
        """The mean deviation in place of the weights: what was handed over can be seen."""
        del merged
        return {"weight": torch.stack([it[""].deviation_U * w for it, w in ends]).sum(dim=0)}

    def reestimate(self, model: nn.Module) -> None:
        raise AssertionError(model)

    def statistics(self, model: nn.Module) -> dict[str, Tensor]:
        del model
        return {}


@dataclass
class Patient:
    """A pause that nobody ends."""

    said: list[str] = field(default_factory=list)

    def wait_for(self, what: str) -> None:
        self.said.append(what)


@dataclass
class Island:
    """One island, and a run of some rounds without training between them."""

    rules: Rules
    state: TrainingState
    saves: bool = True
    finishes: bool = True
    pause: Patient = field(default_factory=Patient)
    merging: Merging | None = None

    def run(self, circle: MemoryCircle, rounds: int) -> None:
        with circle.working() as around:
            self.merging = Merging(self.rules, circle.artifacts, around, Reversing())
            self.merging.begin(self.state)
            for _ in range(rounds):
                self.merging.exchange(self.state, self.pause)
                self.state.rounds += 1
                if self.saves:
                    self.merging.saved(10**6)
            if self.saves and self.finishes:
                self.merging.finish(self.state, self.pause)


@dataclass
class World:
    """Islands whose weights are known."""

    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)

    def island(self, number: int, values: list[float], **rules: Any) -> Island:
        chosen = {"course": COURSE, "deadline_seconds": 20.0, **rules}
        return Island(Rules(island=number, **chosen), start_state(Linear(values), SETTINGS))

    def run(self, islands: list[Island], rounds: int = 1) -> list[list[float]]:
        """Their weights at the end."""
        circle = MemoryCircle(self.artifacts)
        failures: list[BaseException] = []

        def guarded(island: Island) -> None:
            try:
                island.run(circle, rounds)
            except BaseException as error:  # noqa: BLE001 - told below, where pytest sees it
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(island,)) for island in islands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        return [weights(island) for island in islands]

    def lose(self, island: int) -> None:
        self.artifacts.publish(names.lost_ref(island), Artifact({}))

    def refs(self, part: str) -> list[str]:
        return sorted(ref for ref in self.artifacts.bindings() if part in ref)


def weights(island: Island) -> list[float]:
    found: list[float] = island.state.model.state_dict()["weight"].tolist()
    return found


def note(island: Island) -> str:
    last = island.state.history[-1]
    assert isinstance(last, dict)
    return str(last.get("note", ""))


def test_all_go_on_from_the_mean_with_the_same_bits() -> None:
    world = World()
    values = [[0.1, 1.0], [0.7, 2.0], [1.3, -7.7]]
    found = world.run([world.island(i, it) for i, it in enumerate(values)])
    assert found[0] == pytest.approx(torch.tensor(values).mean(dim=0).tolist())
    assert found[0] == found[1] == found[2]


def test_snapshots_are_withdrawn_once_every_merge_is_told() -> None:
    world = World()
    world.run([world.island(i, [float(i), 1.0]) for i in range(3)], rounds=3)
    assert world.refs("/rounds/") == []
    assert len(world.refs("/merges/")) == 9
    record = world.artifacts.fetch(names.record_ref(1, 0)).metadata
    assert record["shares"] == pytest.approx({"0": 1 / 3, "1": 1 / 3, "2": 1 / 3})
    assert record["absent"] == {}


def test_what_is_not_saved_is_not_told_and_stays() -> None:
    world = World()
    islands = [world.island(i, [float(i), 1.0]) for i in range(3)]
    islands[1].saves = False
    for island in islands:
        island.finishes = False
    world.run(islands)
    assert world.refs("/merges/") == ["islands/0/merges/0", "islands/2/merges/0"]
    assert world.refs("/rounds/")[:1] == ["islands/0/rounds/0"], "island 1 may need it again"
    assert "snapshots/0/weight" in islands[0].state.kept


def test_after_a_restart_its_snapshots_are_offered_again_with_the_same_digest() -> None:
    world = World()
    one = world.island(1, [4.0, 5.0])
    one.state.kept = {"snapshots/0/weight": torch.tensor([1.0, 2.0])}
    one.state.rounds = 1
    one.saves = False
    world.run([one], rounds=0)
    again = world.artifacts.fetch(names.snapshot_ref(1, 0))
    assert again.tensors["weight"].tolist() == [1.0, 2.0]
    assert again.metadata["round"] == 0


def test_what_was_saved_and_not_told_is_told_after_a_restart() -> None:
    world = World()
    one = world.island(1, [4.0, 5.0])
    world.lose(0)
    world.lose(2)
    one.saves = False
    world.run([one], rounds=2)
    assert world.refs("/merges/") == []
    checkpoint = snapshot(one.state)  # the process ends as soon as it is bound
    again = world.island(1, [0.0, 0.0])
    restore(again.state, checkpoint)
    again.saves = False
    world.run([again], rounds=0)
    assert world.refs("/merges/") == ["islands/1/merges/0", "islands/1/merges/1"]
    assert again.state.untold == []
    record = world.artifacts.fetch(names.record_ref(1, 1)).metadata
    assert record == checkpoint.metadata["untold"][1]  # type: ignore[index]


def test_who_is_lost_is_gone_without_and_the_mean_of_the_others_is_kept() -> None:
    world = World()
    world.lose(2)
    zero, one = world.run([world.island(0, [0.0, 3.0]), world.island(1, [6.0, 9.0])])
    assert zero == pytest.approx([2.0, 5.0])  # 2/3 of its own and 1/3 of the other's
    assert one == pytest.approx([4.0, 7.0])
    assert [zero[0] + one[0], zero[1] + one[1]] == pytest.approx([6.0, 12.0])


def test_who_is_late_merges_with_nobody_and_the_others_without_it() -> None:
    world = World()
    islands = [world.island(i, [3.0 * i, 0.0], deadline_seconds=0.1) for i in range(2)]
    before = world.run(islands)
    late = world.island(2, [9.0, 0.0])
    assert world.run([late]) == [[9.0, 0.0]]
    assert note(islands[0]) == "round 0 without island 2: it did not come in time"
    assert "island 0: this island was late itself" in note(late)
    assert before == [pytest.approx([1.0, 0.0]), pytest.approx([2.0, 0.0])]


@pytest.mark.parametrize(
    ("tensor", "init", "island", "words"),
    [
        (torch.tensor([1.0, torch.nan]), "", 1, "tensor 'weight' has NaN or infinite values"),
        (torch.tensor([1.0, torch.inf]), "", 1, "tensor 'weight' has NaN or infinite values"),
        (torch.tensor([1.0, 2.0]), "blake3:other", 1, "began with other weights"),
        (torch.tensor([1.0, 2.0]), "", 0, "says it is of island 0"),
        (torch.tensor([1.0]), "", 1, "tensor 'weight' is float32 [1]"),
        (torch.tensor([1.0, 2.0]).double(), "", 1, "tensor 'weight' is float64 [2]"),
    ],
)
def test_what_would_spoil_the_mean_is_left_out_and_named(
    tensor: Tensor, init: str, island: int, words: str
) -> None:
    world = World()
    world.lose(2)
    said: dict[str, JsonValue] = {
        "role": "island",
        "island": island,
        "round": 0,
        "step": 10,
        "init": init,
    }
    world.artifacts.publish(names.snapshot_ref(1, 0), Artifact({"weight": tensor}, said))
    zero = world.island(0, [5.0, 6.0], deadline_seconds=0.1)
    assert world.run([zero]) == [[5.0, 6.0]]
    assert note(zero).startswith("round 0 without island 1: ")
    assert words in note(zero)


def test_at_the_first_merge_all_take_over_the_order_of_the_first_island() -> None:
    world = World()
    values = [[1.0, 2.0], [2.5, 1.5], [3.0, 1.0]]
    found = world.run([world.island(i, it, align="FirstMerge") for i, it in enumerate(values)])
    assert found == [pytest.approx([7 / 6, 7.5 / 3])] * 3


def test_after_a_merge_that_aligned_units_get_back_the_spread_of_those_averaged() -> None:
    world = World()
    values = [[-3.0, 2.0], [3.0, 4.0], [3.0, -3.0]]
    rules = {"align": "EveryRound", "repair": True}
    found = world.run([world.island(i, it, **rules) for i, it in enumerate(values)])
    assert found == [pytest.approx([3.0, 3.0])] * 3
    plain = World()
    kept = plain.run([plain.island(i, it, repair=True) for i, it in enumerate(values)])
    assert kept == [pytest.approx([1.0, 1.0])] * 3, "nothing was aligned, so nothing is repaired"


def test_when_the_first_island_is_lost_the_next_one_is_the_reference() -> None:
    world = World()
    world.lose(0)
    values = {1: [2.0, 1.0], 2: [1.0, 4.0]}
    found = world.run([world.island(i, it, align="FirstMerge") for i, it in values.items()])
    assert found == [pytest.approx([8 / 3, 1.0]), pytest.approx([10 / 3, 1.0])]


def test_who_is_late_at_the_first_merge_takes_over_the_order_of_the_others_too() -> None:
    world = World()
    first = {"align": "FirstMerge", "deadline_seconds": 0.1}
    there = [world.island(1, [2.0, 1.0], **first), world.island(2, [1.0, 4.0], **first)]
    for island in there:
        island.finishes = False
    world.run(there)
    late = world.island(0, [5.0, 9.0], **first)
    assert world.run([late]) == [[9.0, 5.0]]
    assert "this island was late itself" in note(late)


def test_each_candidate_for_the_basis_is_waited_for() -> None:
    """One that has waited itself for the first is there a moment later."""
    world, said = World(), list[str]()
    two = world.island(2, [1.0, 4.0], align="FirstMerge", deadline_seconds=0.3)
    two.pause = Patient(said)
    two.finishes = False
    world.run([two])
    assert said[:4] == [f"waits for island {other} in round 0" for other in (0, 0, 1, 1)]


def test_an_island_that_has_joined_a_basis_does_not_move_again_after_a_restart() -> None:
    world = World()
    world.lose(2)
    reference = world.island(0, [1.0, 2.0], align="FirstMerge")
    again = world.island(1, [4.0, 3.0], align="FirstMerge")
    again.state.kept = {"snapshots/0/weight": torch.tensor([4.0, 3.0])}
    world.run([reference, again])
    assert note(again) == "round 0 without island 2: it did not come in time"
    assert weights(again) == pytest.approx([3.0, 8 / 3])


def test_nothing_is_kept_for_who_is_out_of_a_round() -> None:
    world = World()
    world.lose(2)
    zero = world.island(0, [0.0, 1.0], deadline_seconds=0.1)
    zero.finishes = False
    world.run([zero])
    assert note(zero).startswith("round 0 without island 1: it did not come in time")
    assert not [name for name in zero.state.kept if name.startswith("snapshots/")]


def test_who_leaves_excuses_itself_from_what_is_not_read_yet() -> None:
    world = World()
    zero, one = (world.island(i, [float(i), 1.0], deadline_seconds=0.1) for i in range(2))
    one.finishes = one.saves = False
    world.run([zero, one])
    ref = names.snapshot_ref(0, 0)
    assert world.artifacts.bindings()[ref].digest == ABSENCE.digest
    assert zero.state.kept == {}


def test_each_round_neighbours_are_brought_into_the_islands_own_order() -> None:
    world = World()
    values = [[1.0, 2.0], [2.5, 1.5], [3.0, 1.0]]
    found = world.run([world.island(i, it, align="EveryRound") for i, it in enumerate(values)])
    assert found[0] == pytest.approx([7 / 6, 2.5])
    assert found[1] == pytest.approx([2.5, 7 / 6])


def test_the_optimizer_begins_anew_where_it_is_told_to() -> None:
    world = World()
    islands = [world.island(i, [float(i), 0.0], reset_optimizer=i == 0) for i in range(3)]
    for island in islands:
        island.state.optimizer.state()["0/mean"].fill_(1.0)
    world.run(islands)
    sums = [float(island.state.optimizer.state()["0/mean"].sum()) for island in islands]
    assert sums == [0.0, 2.0, 2.0]


def test_diloco_takes_a_step_from_where_all_began() -> None:
    world = World()
    outer = OuterNesterov(learning_rate=0.5, momentum=0.0)
    islands = [world.island(i, [0.0, 0.0], outer=outer) for i in range(3)]
    values = torch.tensor([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]])

    for island, value in zip(islands, values, strict=True):
        island.state.kept = {  # as after the rounds before
            "anchor/weight": torch.zeros(2),
            "momentum/weight": torch.zeros(2),
        }
        island.state.model.load_state_dict({"weight": value})
    found = world.run(islands)
    assert found == [pytest.approx([1.5, 2.0])] * 3
    assert islands[0].state.kept["anchor/weight"].tolist() == pytest.approx([1.5, 2.0])


def diloco(world: World, number: int, values: list[float], **rules: Any) -> Island:
    """An island after its first rounds, all of which began from 0."""
    outer = OuterNesterov(learning_rate=0.5, momentum=0.5)
    island = world.island(number, values, outer=outer, **rules)
    island.state.kept = {"anchor/weight": torch.zeros(2), "momentum/weight": torch.zeros(2)}
    return island


def test_who_is_late_takes_the_same_outer_step_as_the_others() -> None:
    world = World()
    there = [diloco(world, i, [2.0 * i, 1.0], deadline_seconds=0.1) for i in range(2)]
    for island in there:
        island.finishes = False
    before = world.run(there)
    late = diloco(world, 2, [9.0, 9.0], deadline_seconds=0.1)
    assert world.run([late])[0] == before[0] == before[1]
    assert torch.equal(late.state.kept["momentum/weight"], there[0].state.kept["momentum/weight"])


def test_who_is_left_alone_takes_outer_steps_on_its_own() -> None:
    world = World()
    world.lose(1)
    world.lose(2)
    zero = diloco(world, 0, [2.0, 4.0])
    assert world.run([zero]) == [pytest.approx([1.5, 3.0])]  # 0.5 (1 + 0.5) of the way


def test_running_statistics_take_no_outer_step() -> None:
    world = World()
    world.lose(1)
    world.lose(2)
    zero = diloco(world, 0, [2.0, 4.0])
    zero.state.model.register_buffer("running_var", torch.tensor([1e-3]))
    zero.state.kept = {}
    zero.finishes = False
    world.run([zero])
    assert zero.state.kept.keys() >= {"anchor/weight", "momentum/weight"}
    assert not [name for name in zero.state.kept if name.startswith("anchor/running")]
