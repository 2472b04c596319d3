"""Run one job under a fault plan in this process, on simulated time: what came of it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from unittest import mock

from jobs_of_faults import document, write_data
from ledger import Ledger
from plans import FaultPlan
from sim_disk import FaultyDisk
from sim_machine import Machine, SimHubClient
from sim_time import HungError, SimLoop, tell

from atoll_api.problems import parse_job
from atoll_api.status import TrainingJobStatus
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.run import run
from atoll_operator.plan.model import Outcome, Stopped
from atoll_worker.exchange.store import Store

MOST_RUNS = 12
"""A user who interrupts a run starts it again, but not for ever."""


@dataclass(frozen=True)
class Story:
    """What came of one run."""

    plan: FaultPlan
    outcome: Outcome
    status: TrainingJobStatus
    ledger: Ledger
    calendar: Mapping[tuple[str, str], int]
    seconds: float
    """Of simulated time."""
    alive: tuple[str, ...]
    """Processes that outlived it."""
    struck: tuple[str, ...]
    errors: tuple[tuple[str, Exception], ...]
    folder: Path
    disk: FaultyDisk
    told: tuple[str, ...] = ()
    """The events, in order."""
    gone: tuple[str, ...] = ()
    """Artifacts that a status named, and the next one did not."""
    idle_writes: int = 0
    """Statuses that said what the one before them had said."""
    waits: tuple[float | None, ...] = ()
    """Of each fault that struck: seconds until the next thing was bound."""

    @property
    def digests(self) -> dict[str, str]:
        """What is bound in the end."""
        return dict(self.ledger.bound)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """What the hub's disk holds."""
        with closing(Store(self.folder / "hub", self.disk)) as store:
            yield store


@dataclass
class _Heard:
    """What the user is told."""

    events: list[str] = field(default_factory=list)
    statuses: list[TrainingJobStatus] = field(default_factory=list)


def simulate(
    plan: FaultPlan,
    folder: Path,
    disk: FaultyDisk | None = None,
) -> Story:
    """Run the job of a plan's strategy in a folder that is empty.

    Args:
        plan: what happens.
        folder: where.
        disk: of the hub, if it is not to be the usual.

    Raises:
        HungError: it does not end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_data(folder)
    job = parse_job(document(plan.strategy))
    heard = _Heard()
    kept: list[Machine] = []

    async def story(loop: SimLoop) -> Outcome:
        machine = Machine(loop, plan, disk or FaultyDisk())
        kept.append(machine)
        options = LocalOptions(
            base_folder=folder,
            parallel=8,
            worker_command=("simulated",),
            metrics=False,
            hub_client=SimHubClient(machine),
            clock=machine.now,
            start=machine.start,
        )
        for _ in range(MOST_RUNS):
            machine.stop.clear()
            machine.run = asyncio.ensure_future(
                run(
                    job,
                    folder / "run",
                    options,
                    heard.statuses.append,
                    machine.stop,
                    heard.events.append,
                )
            )
            outcome = await _ended(machine)
            machine.outlived += machine.alive
            if outcome is not None and not isinstance(outcome, Stopped):
                return outcome
        raise AssertionError(f"not over after {MOST_RUNS} runs")

    try:
        # No power is cut but that of the simulated disk: to wait for the real one proves nothing.
        with mock.patch.object(os, "fsync"):
            outcome, seconds = tell(story)
    except HungError as error:
        raise HungError(f"{plan}: {error}; {kept[0].ledger.wrong}") from error
    finally:
        for machine in kept:
            machine.close()
    machine = kept[0]
    return Story(
        plan=plan,
        outcome=outcome,
        status=heard.statuses[-1],
        ledger=machine.ledger,
        calendar=Counter(machine.calendar),
        seconds=seconds,
        alive=tuple(machine.outlived),
        struck=tuple(machine.struck),
        errors=tuple(machine.errors),
        folder=folder / "run",
        disk=machine.disk,
        told=tuple(heard.events),
        gone=_gone(heard.statuses),
        idle_writes=sum(before == after for before, after in pairwise(heard.statuses)),
        waits=tuple(machine.ledger.seconds_to_continue(at) for at in machine.struck_at),
    )


def row(story: Story) -> str:
    """For the table: seed, strategy, what struck and when, outcome, seconds to continue after each."""
    plan = story.plan
    ended = type(story.outcome).__name__
    waits = ", ".join("-" if it is None else f"{it:.1f} s" for it in story.waits)
    return json.dumps(
        [plan.seed, plan.strategy, "; ".join(story.struck) or "nothing struck", ended, waits]
    )


def _gone(statuses: Sequence[TrainingJobStatus]) -> tuple[str, ...]:
    named = [{it.name: it.digest for it in status.artifacts} for status in statuses]
    return tuple(
        f"{name} is no longer what it was"
        for before, after in pairwise(named)
        for name, digest in before.items()
        if after.get(name) != digest
    )


async def _ended(machine: Machine) -> Outcome | None:
    """How a run ended; None if the operator was killed, and may be started again by now."""
    assert machine.run is not None
    try:
        return await machine.run
    except asyncio.CancelledError:
        if machine.crash_seconds is None:
            raise
        await asyncio.sleep(machine.crash_seconds)
        machine.crash_seconds = None
        return None
