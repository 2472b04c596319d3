"""What a run that merges has to come to, if its islands took part as its records say.

Time may decide who takes part in a round; what the weights are then is a function of that. So the
roles run once more, in this process and with artifacts in memory, where no time passes: whoever was
absent is so again. What they note of each round has to be what the run noted.
"""

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from atoll_api import names
from atoll_api.names import Ref
from atoll_api.ordering import Place, work_order
from atoll_api.problems import parse_job
from atoll_api.spec import TrainingJob
from atoll_api.work_order import JobIdentity
from atoll_operator.local.run import resolve
from atoll_operator.plan.model import Step
from atoll_operator.plan.pipeline import pipeline
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.exchange.memory import (
    MemoryArtifacts,
    MemoryCircle,
    MemoryNeighbourhood,
    MemoryProgress,
    MemoryStop,
)
from atoll_worker.ports import Artifact, Binding, Context

MOST_SECONDS: Final = 300.0
"""A replay takes a second or two."""
Records = Mapping[str, Mapping[str, Any]]
"""What each island noted of each round, by ref."""


@dataclass(frozen=True)
class Participation:
    """Who was missing.

    Attributes:
        absent: snapshots that an island took for not there, by island.
        excused: snapshots that were bound to nothing: who should have offered them was late.
        lost: islands that never finished.
    """

    absent: Mapping[int, frozenset[str]]
    excused: frozenset[str]
    lost: frozenset[int]

    @classmethod
    def read(cls, records: Records, lost: Collection[int], excused: Collection[str] = ()) -> Self:
        """From what was noted, and what is known to have been excused beside."""
        absent: dict[int, set[str]] = {}
        excused = set(excused)
        for ref, record in records.items():
            island, number = int(ref.split("/")[1]), record["round"]
            for other, why in record["absent"].items():
                if "late itself" in why:
                    excused.add(names.snapshot_ref(island, number))
                    continue
                absent.setdefault(island, set()).add(names.snapshot_ref(int(other), number))
        return cls(
            {k: frozenset(v) for k, v in absent.items()}, frozenset(excused), frozenset(lost)
        )


class _Circle(MemoryNeighbourhood):
    """Among neighbours that are as they were."""

    def __init__(self, inner: MemoryNeighbourhood, forced: Participation, island: int) -> None:
        super().__init__(inner._artifacts, inner._news)
        self._absent = forced.absent.get(island, frozenset())
        missed = frozenset[str]().union(*forced.absent.values())
        # What a lost island never offered is excused too: it goes on alone, to the end that it never saw.
        self._excused = forced.excused | (missed if island in forced.lost else frozenset())

    def offer(self, ref: Ref, artifact: Artifact) -> Binding:
        return self.excuse(ref) if ref in self._excused else super().offer(ref, artifact)

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        absent = {ref: ABSENCE.digest for ref in refs if ref in self._absent}
        return {**super().wait([it for it in refs if it not in absent], seconds), **absent}


class LostError(Exception):
    """An island does not finish, as it did not."""


class _Shelf(MemoryArtifacts):
    """Lost islands do not finish."""

    def __init__(self, lost: Collection[int]) -> None:
        super().__init__()
        self._finals = {names.final_ref(it) for it in lost}

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        if ref in self._finals:
            raise LostError(ref)
        return super().publish(ref, artifact)


@dataclass(frozen=True)
class Replayed:
    """What the roles came to."""

    records: Records
    digests: Mapping[str, str]


def replay(job_file: Path, forced: Participation) -> Replayed:
    """Do the partition, and then the islands and the merge, of a job."""
    job = resolve(parse_job(json.loads(job_file.read_text())), job_file.parent)
    shelf = _Shelf(forced.lost)
    steps = pipeline(job.spec)
    _run(job, steps[0], Context(shelf, MemoryProgress(steps[0].name), MemoryStop()))
    together = [it for it in steps if it.role in ("island", "merge")]
    circle = MemoryCircle(shelf)
    failures: list[BaseException] = []

    def one(step: Step) -> None:
        island = -1 if step.island is None else step.island
        try:
            with circle.working() as around:
                _run(job, step, _context(shelf, _Circle(around, forced, island), step))
        except LostError:
            shelf.publish(names.lost_ref(island), Artifact({}))
        except BaseException as error:  # noqa: BLE001 - raised below, where pytest sees it
            failures.append(error)

    threads = [threading.Thread(target=one, args=(it,), daemon=True) for it in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(MOST_SECONDS)
    if failures:
        raise failures[0]
    assert not any(it.is_alive() for it in threads), "the replay waits for what does not come"
    bound = shelf.bindings()
    return Replayed(dict(_noted(shelf, bound)), {ref: it.digest for ref, it in bound.items()})


def _context(shelf: MemoryArtifacts, around: MemoryNeighbourhood, step: Step) -> Context:
    """Of one role; no time passes, so nobody is late."""
    progress = MemoryProgress(step.name)
    return Context(
        shelf, progress, MemoryStop(), neighbourhood=around, onlooker=around, clock=lambda: 0.0
    )


def _run(job: TrainingJob, step: Step, context: Context) -> None:
    identity = JobIdentity(name=job.metadata.name, uid="0")
    order = work_order(identity, job.spec, step.process("0"), Place("127.0.0.1:1", ""))
    import_module(f"atoll_worker.roles.{step.role}").run(order, context)


def _noted(
    shelf: MemoryArtifacts, bound: Mapping[Ref, Binding]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for ref in bound:
        if "/merges/" in ref:
            yield ref, dict(shelf.fetch(ref).metadata)
