"""Who reads whom, and what it counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_api.spec.merging import Gossip, IterativeMerge, SingleMerge, Topology
from atoll_worker.merge.course import (
    GossipCourse,
    MixingCourse,
    evaluated_rounds,
    readers,
    to_self,
)

RING = MixingCourse(IterativeMerge(steps_per_round=10, first_round_steps=40), 5, 100)


def gossip(rate: float, seed: int = 0, count: int = 8) -> GossipCourse:
    settings = SingleMerge(gossip=Gossip(peers_per_round=rate, steps_per_round=5))
    return GossipCourse(settings, count, 1000, seed)


def test_rounds_end_where_the_settings_say() -> None:
    assert RING.ends == (40, 50, 60, 70, 80, 90, 100)
    assert len(gossip(0.2).ends) == 200


def test_in_a_ring_all_neighbours_are_read_in_every_round() -> None:
    assert RING.weights(3, 0) == pytest.approx({1: 1 / 3, 4: 1 / 3, 0: 1 / 3})
    assert readers(RING, 3, 0) == (1, 4)


def test_gossip_pulls_as_often_as_it_should_and_from_everybody() -> None:
    course = gossip(0.15)
    pulls = [
        (island, next(iter(course.weights(number, island).keys() - {island})))
        for number in range(200)
        for island in range(8)
        if len(course.weights(number, island)) == 2
    ]
    assert 0.11 < len(pulls) / 1600 < 0.19
    assert len(set(pulls)) > 50, "of 56 pairs"


def test_gossip_is_a_function_of_the_seed() -> None:
    def all_of(course: GossipCourse) -> list[dict[int, float]]:
        return [dict(course.weights(n, i)) for n in range(200) for i in range(8)]

    assert all_of(gossip(0.3, seed=1)) == all_of(gossip(0.3, seed=1))
    assert all_of(gossip(0.3, seed=1)) != all_of(gossip(0.3, seed=2))


def test_only_what_somebody_pulls_has_readers() -> None:
    course = gossip(0.15)
    offered = sum(bool(readers(course, n, i)) for n in range(200) for i in range(8))
    pulled = sum(len(course.weights(n, i)) - 1 for n in range(200) for i in range(8))
    assert 0 < offered <= pulled


@pytest.mark.parametrize(("rate", "pulls"), [(0.0, 0), (1.0, 1600)])
def test_never_and_always(rate: float, pulls: int) -> None:
    course = gossip(rate)
    assert sum(len(course.weights(n, i)) - 1 for n in range(200) for i in range(8)) == pulls


def test_evaluations_are_spread_and_leave_the_last_round_to_the_final_merge() -> None:
    assert sorted(evaluated_rounds(200, 4)) == [39, 79, 119, 159]
    assert evaluated_rounds(2, 4) == {0}
    assert evaluated_rounds(1, 4) == frozenset()
    assert evaluated_rounds(20, 0) == frozenset()


@given(
    kind=st.sampled_from(["Ring", "FullyConnected", "Bipartite", "Exponential", "Torus"]),
    count=st.integers(3, 12),
    data=st.data(),
)
def test_whoever_is_absent_the_mean_of_the_others_is_kept(
    kind: str, count: int, data: st.DataObject
) -> None:
    """Both ends leave the edge out, and give its weight to themselves."""
    topology = Topology.model_validate({"type": kind})
    course = MixingCourse(IterativeMerge(topology=topology), count, 100)
    absent = data.draw(st.frozensets(st.integers(0, count - 1), max_size=count - 1))
    rows = np.zeros((count, count))
    for island in range(count):
        gone = frozenset(range(count)) - {island} if island in absent else absent
        for other, share in to_self(course.weights(0, island), island, gone).items():
            rows[island, other] = share
    values = np.linspace(-3, 7, count) ** 3
    left = sorted(set(range(count)) - absent)
    assert rows.sum(axis=1) == pytest.approx(np.ones(count))
    assert (rows @ values)[left].mean() == pytest.approx(values[left].mean())
    assert (rows @ values)[sorted(absent)] == pytest.approx(values[sorted(absent)])
