"""Who dials whom in a job: the edges that its network policies allow, and no others.

All processes dial the hub. Islands dial those whose weights they read, and whoever merges dials
islands, whose snapshots stay with them. Over any other edge bytes take the way over the hub: so an
island that aligns to one that is no neighbour of its reads that one's first snapshot there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atoll_api import names
from atoll_api.names import Role
from atoll_api.ordering import neighbours
from atoll_api.spec import TrainingJobSpec
from atoll_operator.plan.pipeline import pipeline

Islands = tuple[int, ...]


@dataclass(frozen=True)
class End:
    """One end of an edge."""

    role: Role
    island: int | None = None


@dataclass(frozen=True)
class Edge:
    """One process may open connections to a port of another."""

    source: End
    target: End
    port: int


@dataclass(frozen=True)
class Circle:
    """Islands that have the same neighbours: one policy serves them all."""

    members: Islands
    """Ascending."""
    readers: Islands | None
    """Who dials them; None is all islands."""
    read: Islands | None
    """Whom they dial; None is all islands."""


def edges(spec: TrainingJobSpec) -> frozenset[Edge]:
    """All edges, each once. A thousand islands that all exchange weights have a million."""
    return frozenset((*_to_the_hub(spec), *_to_islands(spec)))


def merges(spec: TrainingJobSpec) -> bool:
    """Whether islands serve what they have; those of an ensemble are dialled by nobody."""
    return bool(neighbours(spec))


def circles(spec: TrainingJobSpec) -> tuple[Circle, ...]:
    """Islands by whom they may dial and who may dial them, in the order of their first members."""
    around = neighbours(spec)
    everybody = tuple(range(len(around)))
    if around and all(len(it) == len(around) - 1 for it in around):
        return (Circle(everybody, None, None),)
    readers: list[list[int]] = [[] for _ in around]
    for reader, read in enumerate(around):
        for island in read:
            readers[island].append(reader)
    alike: dict[tuple[Islands, Islands], list[int]] = {}
    for island in everybody:
        alike.setdefault((tuple(readers[island]), around[island]), []).append(island)
    return tuple(Circle(tuple(it), *ends) for ends, it in alike.items())


def _to_the_hub(spec: TrainingJobSpec) -> Iterator[Edge]:
    hub = End("hub")
    for step in pipeline(spec):
        yield Edge(End(step.role, step.island), hub, names.HUB_PORT)


def _to_islands(spec: TrainingJobSpec) -> Iterator[Edge]:
    around: Mapping[int, Islands] = dict(enumerate(neighbours(spec)))
    for island, read in around.items():
        target = End("island", island)
        yield Edge(End("merge"), target, names.ISLAND_PORT)
        for other in read:
            yield Edge(target, End("island", other), names.ISLAND_PORT)
