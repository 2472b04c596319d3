"""Graphs and what an island weighs its neighbours by."""

import math
from collections.abc import Callable

import pytest
from builders import job_document
from counted_work import growth
from hypothesis import given
from hypothesis import strategies as st

from atoll_api import graphs
from atoll_api.problems import parse_job
from atoll_api.spec.merging import Edges, Gossip, GossipWindow, IterativeMerge, Topology

NAMED = ("Ring", "FullyConnected", "Bipartite", "Exponential", "Torus")


@pytest.mark.parametrize(
    ("kind", "count", "degree"),
    [
        ("Ring", 5, 2),
        ("FullyConnected", 5, 4),
        ("Bipartite", 6, 3),
        ("Exponential", 8, 5),
        ("Torus", 16, 4),
        ("Torus", 7, 2),  # a prime makes a ring
    ],
)
def test_every_island_has_as_many_neighbours(kind: str, count: int, degree: int) -> None:
    topology = Topology.model_validate({"type": kind})
    around = graphs.neighbours(graphs.edges(topology, count), count)
    assert [len(it) for it in around] == [degree] * count


@given(kind=st.sampled_from(NAMED), count=st.integers(2, 24))
def test_named_graphs_are_connected_and_their_mixing_is_doubly_stochastic(
    kind: str, count: int
) -> None:
    pairs = graphs.edges(Topology.model_validate({"type": kind}), count)
    assert graphs.components(pairs, count) == (tuple(range(count)),)
    around = graphs.neighbours(pairs, count)
    rows = [graphs.mixing_row(around, island) for island in range(count)]
    for island in range(count):
        assert math.isclose(sum(rows[island].values()), 1.0)
        assert math.isclose(sum(row.get(island, 0.0) for row in rows), 1.0)
        assert all(weight > 0 for weight in rows[island].values())
        assert all(rows[j][island] == weight for j, weight in rows[island].items())


@given(kind=st.sampled_from(NAMED), count=st.integers(3, 24))
def test_neighbours_of_a_strategy_are_those_of_its_edges(kind: str, count: int) -> None:
    topology = Topology.model_validate({"type": kind})
    around = graphs.neighbours_of(IterativeMerge(topology=topology), count)
    assert around == graphs.neighbours(graphs.edges(topology, count), count)
    halves = {(i, j) for i in range(count) for j in range(i + 1, count, 2)}
    assert graphs.are_halves(around) == (set(graphs.edges(topology, count)) == halves)


@pytest.mark.parametrize("kind", ["FullyConnected", "Bipartite"])
def test_nobody_lists_the_edges_of_a_dense_graph(kind: str) -> None:
    """Of 2,000 islands that took 9 s and 700 MB, each time that a job was looked at."""
    strategy = {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": kind}}}

    def look(islands: int) -> Callable[[], object]:
        made = job_document(**{"islands.count": islands}, strategy=strategy)
        made["spec"]["partition"] = {"type": "Random"}

        def work() -> None:
            merging = parse_job(made).spec.strategy.iterative_merge
            assert merging is not None
            graphs.neighbours_of(merging, islands)

        return work

    assert growth(look, 100, 400) < 1.1


def test_a_ring_and_a_full_graph_have_the_weights_of_the_paper() -> None:
    ring = graphs.neighbours(graphs.edges(Topology(type="Ring"), 5), 5)
    assert list(graphs.mixing_row(ring, 0).values()) == pytest.approx([1 / 3] * 3)
    full = graphs.neighbours(graphs.edges(Topology(type="FullyConnected"), 5), 5)
    assert list(graphs.mixing_row(full, 3).values()) == pytest.approx([1 / 5] * 5)


def test_listed_edges_may_leave_parts() -> None:
    topology = Topology(type="Edges", edges=Edges(pairs=((1, 0), (2, 3))))
    pairs = graphs.edges(topology, 5)
    assert pairs == ((0, 1), (2, 3))
    assert graphs.components(pairs, 5) == ((0, 1), (2, 3), (4,))


def test_gossip_pulls_from_the_graph_it_names() -> None:
    assert graphs.gossip_neighbours("Random", 4)[1] == (0, 2, 3)
    assert graphs.gossip_neighbours("Ring", 5)[0] == (1, 4)
    assert graphs.gossip_neighbours("Exponential", 8)[6] == (0, 2, 7)


def test_a_window_has_its_own_rate() -> None:
    late = GossipWindow(start=0.9, end=1.0, peers_per_round=1.0)
    gossip = Gossip(peers_per_round=0.2, windows=(late,))
    assert [graphs.gossip_rate(gossip, n, 10) for n in (0, 8, 9)] == [0.2, 0.2, 1.0]


def test_rounds_end_after_their_steps() -> None:
    assert graphs.rounds_of(600, 400, 100) == (400, 500, 600)
    assert graphs.rounds_of(10, 5, 5) == (5, 10)
