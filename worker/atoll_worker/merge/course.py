"""Who gives weights to whom in which round, and what they count: pure, from the spec alone.

Every island knows the whole course, so nothing has to be agreed on while training, and only
snapshots that somebody will read are offered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from atoll_api import graphs
from atoll_api.spec.merging import IterativeMerge, SingleMerge
from atoll_worker.train.seeds import derive

_UNIT = float(1 << 63)
"""`derive` gives 63 bits."""


class Course(Protocol):
    """The rounds of a strategy. Islands are 0 to `count` - 1, rounds 0 to `len(ends)` - 1."""

    @property
    def count(self) -> int:
        """Islands."""
        ...

    @property
    def ends(self) -> tuple[int, ...]:
        """The step after which each round ends."""
        ...

    def weights(self, number: int, island: int) -> Mapping[int, float]:
        """What an island's next weights are made of: island to share; its own is among them."""
        ...

    def evaluated(self, number: int) -> bool:
        """Whether all islands offer their weights after this round, to be measured."""
        ...


def readers(course: Course, number: int, island: int) -> tuple[int, ...]:
    """The islands that read an island's snapshot of a round, ascending."""
    others = (other for other in range(course.count) if other != island)
    return tuple(other for other in others if island in course.weights(number, other))


@dataclass(frozen=True)
class MixingCourse:
    """DIMAT: after each round, the neighbours in a graph (arXiv 2404.08079, algorithm 1)."""

    settings: IterativeMerge
    count: int
    steps: int

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """See `Course.ends`."""
        every = self.settings.steps_per_round
        return graphs.rounds_of(self.steps, self.settings.first_round_steps or every, every)

    @cached_property
    def _rows(self) -> tuple[Mapping[int, float], ...]:
        around = graphs.neighbours_of(self.settings, self.count)
        return tuple(graphs.mixing_row(around, island) for island in range(self.count))

    def weights(self, number: int, island: int) -> Mapping[int, float]:
        """The row of the mixing matrix, the same in every round."""
        del number
        return self._rows[island]

    def evaluated(self, number: int) -> bool:
        """See `Course.evaluated`."""
        return number in evaluated_rounds(len(self.ends), self.settings.evaluations)


@dataclass(frozen=True)
class GossipCourse:
    """A pull now and then: half and half with one peer (arXiv 2507.06542, section 3)."""

    settings: SingleMerge
    count: int
    steps: int
    seed: int

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """See `Course.ends`."""
        every = self.settings.gossip.steps_per_round
        return graphs.rounds_of(self.steps, every, every)

    @cached_property
    def _around(self) -> graphs.Neighbours:
        return graphs.gossip_neighbours(self.settings.gossip.graph, self.count)

    def weights(self, number: int, island: int) -> Mapping[int, float]:
        """Its own alone in most rounds; drawn from the job's seed, round and island."""
        rate = graphs.gossip_rate(self.settings.gossip, number, len(self.ends))
        around = self._around[island]
        if derive(self.seed, "gossip", island, number) / _UNIT >= rate or not around:
            return {island: 1.0}
        peer = around[derive(self.seed, "gossip-peer", island, number) % len(around)]
        return {island: 0.5, peer: 0.5}

    def evaluated(self, number: int) -> bool:
        """See `Course.evaluated`."""
        return number in evaluated_rounds(len(self.ends), self.settings.evaluations)


def evaluated_rounds(count: int, wanted: int) -> frozenset[int]:
    """At most `wanted` of `count` rounds, evenly spread; the last is left to the final merge."""
    spread = (round((k + 1) * count / (wanted + 1)) - 1 for k in range(wanted))
    return frozenset(number for number in spread if 0 <= number < count - 1)


def to_self(weights: Mapping[int, float], island: int, absent: frozenset[int]) -> dict[int, float]:
    """The weights without those who are absent, whose shares the island keeps itself.

    With a symmetric matrix the mean of the survivors stays what it was (not so when the rest of
    a row is scaled up).
    """
    lost = sum(share for other, share in weights.items() if other in absent)
    kept = {other: share for other, share in weights.items() if other not in absent}
    return {**kept, island: weights[island] + lost}
