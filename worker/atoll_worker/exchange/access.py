"""Who may do what at the hub: one table, pure. No certificate is read and nothing is refused here.

Every ref can be bound by one process alone, so an upload belongs to whoever may bind its ref.
No island reads another's part, data or checkpoints; of its neighbours' weights, the snapshots.
Whoever waits for a snapshot may excuse it: bind its ref to nothing, once it is late.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Final, Self

from atoll_api import names
from atoll_api.names import Process


class Action(Enum):
    """What a caller asks for; the value completes the sentence "island-1 may not ... X"."""

    LIST = "list"
    """See that a ref is bound, its digest and its size."""
    READ = "read"
    """Read the artifact of a ref."""
    BIND = "bind"
    """Upload an artifact and bind a ref to it."""
    EXCUSE = "excuse"
    """Bind a ref to nothing: nobody waits for it any more."""
    DROP = "drop"
    """Unbind a ref."""
    FOLLOW = "follow"
    """See the progress of a step."""
    REPORT = "report for"
    """Say how far a step is."""


_EVERYTHING: Final = ("**",)
_ASSIGNMENT: Final = names.ASSIGNMENT_REF
_CHECKPOINTS: Final = "checkpoints/{step}/*"

Neighbours = Mapping[int, Collection[int]]
"""For an island, those whose snapshots it reads; an island that is not here reads nobody's."""


@dataclass(frozen=True)
class Circle:
    """Who reads whose snapshots."""

    neighbours: Neighbours = field(default_factory=dict)
    common_basis: bool = False
    """Whether every island reads the first snapshot of any other, to align itself to."""

    @classmethod
    def of(cls, neighbours: Sequence[Collection[int]], *, common_basis: bool = False) -> Self:
        """From the neighbours of each island, in order; ranges are looked into as they are."""
        found = (it if isinstance(it, range) else frozenset(it) for it in neighbours)
        return cls(dict(enumerate(found)), common_basis)


ALONE: Final = Circle()


@dataclass(frozen=True)
class _Rights:
    """Patterns of refs, and of steps: `*` is one segment, `**` is all, `{..}` is the caller's.

    `{neighbour}` is each of the caller's neighbours, `{basis}` every island where they align to
    one of them.
    """

    reads: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    """Read as well: on a conflict the writer goes on from what was bound first."""
    lists: tuple[str, ...] = ()
    """Beyond what is read."""
    excuses: tuple[str, ...] = ()
    """Read as well: what was bound first stands."""
    drops: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    """Beyond the caller's own step."""
    reports: tuple[str, ...] = ("{step}",)

    def patterns(self, action: Action) -> tuple[str, ...]:
        """What the action is allowed on."""
        return {
            Action.LIST: (*self.lists, *self.reads, *self.binds),
            Action.READ: (*self.reads, *self.binds),
            Action.BIND: self.binds,
            Action.EXCUSE: self.excuses,
            Action.DROP: self.drops,
            Action.FOLLOW: (*self.follows, *self.reports),
            Action.REPORT: self.reports,
        }[action]


def _trainer(binds: str, *reads: str) -> _Rights:
    return _Rights(reads=reads, binds=(binds, _CHECKPOINTS), drops=(_CHECKPOINTS,))


def _snapshots(island: str) -> str:
    return f"islands/{island}/rounds/*"


_RECORDS: Final = "islands/*/merges/*"
_LOST: Final = "islands/*/lost"
_FIRST_SNAPSHOTS: Final = "islands/{basis}/rounds/0"
_FINALS: Final = "islands/*/final"
_MERGEABILITY: Final = "mergeability/*"

_TABLE: Final[Mapping[str, _Rights]] = {
    "partition": _Rights(
        binds=(_ASSIGNMENT, f"{_ASSIGNMENT}/*", names.INIT_REF, names.CLUSTERS_REF)
    ),
    "seed": _trainer(names.SEED_REF, _ASSIGNMENT),
    "island": _Rights(
        reads=(
            f"{_ASSIGNMENT}/{{index}}",
            names.INIT_REF,
            names.SEED_REF,
            names.MEAN_REF,
            _snapshots("{neighbour}"),
            _FIRST_SNAPSHOTS,
        ),
        binds=(
            "experts/{index}",
            _CHECKPOINTS,
            _snapshots("{index}"),
            "islands/{index}/merges/*",
            "islands/{index}/final",
            "islands/{index}/statistics",
        ),
        lists=(_RECORDS, _LOST, _MERGEABILITY),
        excuses=(_snapshots("{neighbour}"), _FIRST_SNAPSHOTS),
        drops=(_CHECKPOINTS, _snapshots("{index}"), "islands/{index}/merges/*"),
    ),
    "merge": _Rights(
        reads=(
            _ASSIGNMENT,
            names.INIT_REF,
            _snapshots("*"),
            _FINALS,
            "islands/*/statistics",
            _RECORDS,
        ),
        binds=(names.MEAN_REF, names.MERGED_REF, _MERGEABILITY),
        lists=(_LOST,),
    ),
    "router": _trainer(names.ROUTER_REF, _ASSIGNMENT),
    "baseline": _trainer(names.BASELINE_REF, _ASSIGNMENT, names.INIT_REF, names.SEED_REF),
    "evaluate": _Rights(
        reads=(
            _ASSIGNMENT,
            names.INIT_REF,
            names.SEED_REF,
            "experts/*",
            names.CLUSTERS_REF,
            names.ROUTER_REF,
            names.BASELINE_REF,
            _FINALS,
            names.MERGED_REF,
            _MERGEABILITY,
        ),
        lists=(_LOST,),
        binds=(names.REPORT_REF, names.PAGE_REF),
        follows=_EVERYTHING,
    ),
    names.OPERATOR: _Rights(
        lists=_EVERYTHING,
        excuses=(_LOST,),
        drops=_EVERYTHING,
        follows=_EVERYTHING,
        reports=(),
    ),
    names.CLI: _Rights(reads=_EVERYTHING, follows=_EVERYTHING, reports=()),
}
"""A role that is not here, the hub's among them, may do nothing."""


def may(who: Process, action: Action, what: str, job_uid: str, circle: Circle = ALONE) -> bool:
    """Whether a process may do this to a ref, or to the progress of a step, of a job.

    Takes as long however many neighbours there are: a hub asks it for each ref it tells of.
    """
    if who.job_uid != job_uid or who.role not in _TABLE:
        return False
    segments = what.split("/")
    return any(_fits(it, segments, who, circle) for it in _patterns(who.role, action))


@cache
def _patterns(role: str, action: Action) -> tuple[tuple[str, ...], ...]:
    """Segments of each."""
    return tuple(tuple(it.split("/")) for it in _TABLE[role].patterns(action))


def _fits(wanted: Sequence[str], segments: Sequence[str], who: Process, circle: Circle) -> bool:
    if wanted == ("**",):
        return True
    return len(wanted) == len(segments) and all(
        _means(ours, theirs, who, circle) for ours, theirs in zip(wanted, segments, strict=True)
    )


def _means(ours: str, theirs: str, who: Process, circle: Circle) -> bool:
    match ours:
        case "*":
            return bool(theirs)
        case "{basis}":
            return circle.common_basis and bool(theirs)
        case "{neighbour}":
            island = _island(theirs)
            return island != who.index and island in circle.neighbours.get(who.index, ())
        case "{index}":
            return theirs == str(who.index)
        case "{step}":
            return theirs == who.step
        case _:
            return theirs == ours


def _island(segment: str) -> int | None:
    """Its number, as it is written in refs and in no other way: `7`, not `07` and no other digits."""
    found = int(segment) if segment.isascii() and segment.isdecimal() else None
    return found if str(found) == segment else None
