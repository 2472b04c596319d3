"""Who exchanges weights with whom: pure functions of the spec and the number of islands.

Operator and workers both ask here, so that certificates, rights, network policies and the islands
themselves agree.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from atoll_api.spec.merging import Gossip, IterativeMerge, SingleMerge, Topology

Edge = tuple[int, int]
"""Two islands, the smaller first."""
Neighbours = tuple[tuple[int, ...], ...]
"""For each island, those that it reads from, ascending."""


def edges(topology: Topology, count: int) -> tuple[Edge, ...]:
    """The edges among `count` islands, ascending, each once.

    Edges that a user lists are taken as they are: see `rules.merging` for what is refused.
    """
    match topology.type:
        case "Ring":
            found = _steps(count, (1,))
        case "FullyConnected":
            found = [(i, j) for i in range(count) for j in range(i + 1, count)]
        case "Bipartite":
            found = [(i, j) for i in range(0, count, 2) for j in range(1, count, 2)]
        case "Exponential":
            found = _steps(count, _powers(count))
        case "Torus":
            found = _torus(*grid(count))
        case "Edges":
            listed = topology.edges.pairs if topology.edges else ()
            found = [(pair[0], pair[1]) for pair in listed]
    ordered = {(min(pair), max(pair)) for pair in found if pair[0] != pair[1]}
    return tuple(sorted(ordered))


def neighbours(pairs: Collection[Edge], count: int) -> Neighbours:
    """For each island, the others of its edges."""
    around: list[set[int]] = [set() for _ in range(count)]
    for one, other in pairs:
        around[one].add(other)
        around[other].add(one)
    return tuple(tuple(sorted(it)) for it in around)


def neighbours_of(settings: IterativeMerge | SingleMerge, count: int) -> Neighbours:
    """For each island, those whose snapshots it may read."""
    if isinstance(settings, SingleMerge):
        return gossip_neighbours(settings.gossip.graph, count)
    match settings.topology.type:
        case "FullyConnected":
            return _all_others(count)
        case "Bipartite":
            halves = tuple(range(0, count, 2)), tuple(range(1, count, 2))
            return tuple(halves[1 - island % 2] for island in range(count))
        case _:
            return neighbours(edges(settings.topology, count), count)


def _all_others(count: int) -> Neighbours:
    """A million edges of 1,000 islands, as they are listed one by one, take 2 s and 150 MB."""
    islands = tuple(range(count))
    return tuple((*islands[:i], *islands[i + 1 :]) for i in islands)


def gossip_neighbours(graph: str, count: int) -> Neighbours:
    """For each island, those that it may pull from.

    Args:
        graph: `Gossip.graph`.
        count: Islands.
    """
    match graph:
        case "Ring":
            return neighbours(_steps(count, (1,)), count)
        case "Exponential":
            ahead = [{(i + step) % count for step in _powers(count)} - {i} for i in range(count)]
            return tuple(tuple(sorted(it)) for it in ahead)
        case _:
            return _all_others(count)


def are_halves(around: Neighbours) -> bool:
    """Whether even islands read all odd ones, and the other way round, and nobody else."""
    count = len(around)
    halves = [tuple(range(1 - first, count, 2)) for first in (0, 1)]
    return all(it == halves[island % 2] for island, it in enumerate(around))


def components(pairs: Collection[Edge], count: int) -> tuple[tuple[int, ...], ...]:
    """The connected components of a graph, by their smallest island."""
    around = neighbours(pairs, count)
    left, found = set(range(count)), []
    while left:
        reached, front = set(), {min(left)}
        while front:
            reached |= front
            front = {j for i in front for j in around[i]} - reached
        found.append(tuple(sorted(reached)))
        left -= reached
    return tuple(found)


def mixing_row(around: Neighbours, island: int) -> Mapping[int, float]:
    """What an island weighs each of its neighbours, and itself, by; sums to 1.

    Metropolis and Hastings: w_ij = 1 / (1 + max(d_i, d_j)). Symmetric and doubly stochastic for
    any graph, and a function of the degrees of neighbours alone (Xiao and Boyd, 2004, section 4).
    """
    degree = [len(it) for it in around]
    row = {j: 1 / (1 + max(degree[island], degree[j])) for j in around[island]}
    return {**row, island: 1 - math.fsum(row.values())}


def rounds_of(steps: int, first: int, every: int) -> tuple[int, ...]:
    """The step after which each round ends; `first` steps, and then `every` so many."""
    return tuple(range(first, steps + 1, every))


def gossip_rate(gossip: Gossip, number: int, count: int) -> float:
    """The probability of a pull in round `number` of `count`: its window's, or the usual one."""
    place = number / count
    for window in gossip.windows:
        if window.start <= place < window.end:
            return window.peers_per_round
    return gossip.peers_per_round


def grid(count: int) -> tuple[int, int]:
    """Rows and columns of the most square grid of exactly `count` places."""
    rows = next(r for r in range(math.isqrt(count), 0, -1) if count % r == 0)
    return rows, count // rows


def _powers(count: int) -> tuple[int, ...]:
    return tuple(1 << k for k in range(max(1, (count - 1).bit_length())) if 1 << k < count)


def _steps(count: int, steps: Sequence[int]) -> list[Edge]:
    return [(i, (i + step) % count) for i in range(count) for step in steps]


def _torus(rows: int, columns: int) -> list[Edge]:
    found = []
    for row in range(rows):
        for column in range(columns):
            here = row * columns + column
            found.append((here, row * columns + (column + 1) % columns))
            found.append((here, (row + 1) % rows * columns + column))
    return found
