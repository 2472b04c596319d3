"""Run one job under a fault plan in this process, on simulated time: what came of it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs_of_faults import document, write_data
from ledger import Ledger
from plans import FaultPlan
from sim_disk import FaultyDisk
from sim_machine import Machine, SimHubClient
from sim_time import SimLoop, tell

from atoll_api.problems import parse_job
from atoll_api.status import TrainingJobStatus
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.run import run
from atoll_operator.plan.model import Outcome, Stopped

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
    lost_again: tuple[str, ...] = ()
    """Artifacts that a status named, and a later one does not, though they were not dropped."""

    @property
    def digests(self) -> dict[str, str]:
        """What is bound in the end."""
        return dict(self.ledger.bound)


@dataclass
class _Heard:
    """What the user is told."""

    events: list[str] = field(default_factory=list)
    statuses: list[TrainingJobStatus] = field(default_factory=list)


def simulate(plan: FaultPlan, folder: Path, **spec: Any) -> Story:
    """Run the job of a plan's strategy in a folder that is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    write_data(folder)
    job = parse_job(document(plan.strategy, **spec))
    heard = _Heard()
    kept: list[Machine] = []

    async def story(loop: SimLoop) -> Outcome:
        machine = Machine(loop, plan)
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
            if outcome is not None and not isinstance(outcome, Stopped):
                return outcome
        raise AssertionError(f"not over after {MOST_RUNS} runs")

    try:
        outcome, seconds = tell(story)
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
        alive=machine.alive,
        struck=tuple(machine.struck),
        errors=tuple(machine.errors),
        folder=folder / "run",
        disk=machine.disk,
        told=tuple(heard.events),
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
