"""Who took part in which round, as the records of a run say; a replay takes part in the same way.

What a merge computes is a function of who took part. So weights of a run in which time decided that
have to be those of a run in which nothing happened, and the records decide.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from sim_client import Around, Here, Stub

from atoll_api import names
from atoll_api.names import Ref
from atoll_worker.errors import CorruptArtifactError, FinalError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.exchange.shelf import NotBoundError
from atoll_worker.exchange.store import Store
from atoll_worker.ports import Artifact, Binding


@dataclass(frozen=True)
class Participation:
    """What the islands of a run that merges did.

    Attributes:
        absent: refs that an island took for not there, by island.
        excused: snapshots that were bound to nothing before their island offered them.
        lost: islands that never finished.
    """

    absent: Mapping[int, frozenset[str]]
    excused: frozenset[str]
    lost: frozenset[int]

    @classmethod
    def read(cls, store: Store, history: Mapping[str, list[str]], count: int) -> Self:
        """From the records of a run, and what its hub bound."""
        absent: dict[int, set[str]] = {island: set() for island in range(count)}
        for island, record in records(store, count).items():
            for number, said in record.items():
                absent[island] |= {names.snapshot_ref(int(it), number) for it in said["absent"]}
        excused = {
            ref
            for ref, digests in history.items()
            if "/rounds/" in ref and digests[0] == ABSENCE.digest
        }
        bound = {it.ref for it in store.bindings()}
        lost = {island for island in range(count) if names.final_ref(island) not in bound}
        return cls(
            {island: frozenset(it) for island, it in absent.items()},
            frozenset(excused),
            frozenset(lost),
        )


def records(store: Store, count: int) -> dict[int, dict[int, Any]]:
    """What each island noted of each round; nothing of a record that was altered on the disk."""
    found: dict[int, dict[int, Any]] = {island: {} for island in range(count)}
    for bound in store.bindings():
        parts = bound.ref.split("/")
        if len(parts) == 4 and parts[2] == "merges" and readable(store, bound.ref):
            _, content = store.resolve(bound.ref)
            found[int(parts[1])][int(parts[3])] = dict(manifests.parse(content).metadata)
    return found


def readable(store: Store, ref: str) -> bool:
    """Whether what a ref is bound to can be had."""
    try:
        store.resolve(ref)
    except (CorruptArtifactError, NotBoundError):
        return False
    return True


class ForcedStub(Stub):
    """Of a replay: an island that was lost never finishes."""

    def __init__(self, here: Here, hub: str, patience: Patience, forced: Participation) -> None:
        super().__init__(here, hub, patience)
        self._finals = {names.final_ref(it) for it in forced.lost}

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Artifacts.publish`."""
        if ref in self._finals:
            raise FinalError("this island was lost")
        return super().publish(ref, artifact)


class ForcedAround(Around):
    """Of a replay: whoever was absent, or late, is so again."""

    def __init__(self, here: Here, stub: Stub, address: str, forced: Participation) -> None:
        super().__init__(here, stub, address)
        self._excused = forced.excused
        own = here.process.index if here.process.role == names.ISLAND else -1
        self._absent = forced.excused | forced.absent.get(own, frozenset())

    def offer(self, ref: Ref, artifact: Artifact) -> Binding:
        """See `ports.Neighbourhood.offer`."""
        if ref in self._excused:
            return Binding(ref, ABSENCE.digest, 0)
        return super().offer(ref, artifact)

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """See `ports.Onlooker.wait`."""
        absent = {ref: ABSENCE.digest for ref in refs if ref in self._absent}
        found = super().wait([ref for ref in refs if ref not in absent], seconds)
        return {**found, **absent}
