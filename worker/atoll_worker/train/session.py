"""One training run in the world: resume, report, save, stop. Shared by the roles that train."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from atoll_api.names import StepName
from atoll_worker.errors import DisruptedError
from atoll_worker.exchange.traffic import TRAINING
from atoll_worker.ports import Context, ProgressReport, WireBytes
from atoll_worker.train.checkpoint import CheckpointWriter, resume, snapshot
from atoll_worker.train.loop import (
    LoopSettings,
    LossFunction,
    TrainingState,
    recent_loss,
    require_finite,
    run_loop,
    start_state,
)

_REPORT_SECONDS = 1.0
Clock = Callable[[], float]


class Meter(Protocol):
    """Counts the bytes on this process's sockets; `exchange.wire.WireMeter` is one."""

    def start(self) -> None:
        """Count from now."""
        ...

    def read(self) -> tuple[WireBytes, ...]:
        """Bytes since the start, by kind of peer."""
        ...


@dataclass(frozen=True)
class Run:
    """A training run and its place in the job."""

    step_name: StepName
    settings: LoopSettings
    batch_size: int
    checkpoint_seconds: float


def train(
    run: Run, model: Callable[[], nn.Module], loss_of: LossFunction, world: "World"
) -> TrainingState:
    """Train from the newest readable checkpoint, or from the start, to the end.

    Args:
        run: what to train, and for how long.
        model: makes the initialization, the same each time.
        loss_of: the loss of one step.
        world: hub, clock and meter.

    Raises:
        NotFiniteError: the loss became NaN or infinite; nothing of it is saved.
        DisruptedError: told to stop; a checkpoint is saved.
    """
    resumed = resume(
        world.context.artifacts, run.step_name, lambda: start_state(model(), run.settings)
    )
    world.meter.start()
    observer = _SessionObserver(run, world, resumed.note, resumed.state.step)
    with world.context.traffic.during(TRAINING), closing(observer):
        observer.report(resumed.state)
        run_loop(resumed.state, loss_of, run.settings, observer)
        require_finite(resumed.state, run.settings)
        observer.report(resumed.state)
    return resumed.state


@dataclass(frozen=True)
class World:
    """What a run needs beside itself; time is an argument."""

    context: Context
    meter: Meter
    clock: Clock = time.monotonic


class _SessionObserver:
    """Reports at most every second, saves at most every so many seconds."""

    def __init__(self, run: Run, world: World, note: str, first_step: int) -> None:
        self._run = run
        self._context = world.context
        self._meter = world.meter
        self._clock = world.clock
        self._stop_requested = world.context.stop.requested
        self._note = note
        self._writer = CheckpointWriter(world.context.artifacts, run.step_name)
        self._first_step = first_step
        self._began = world.clock()
        self._next_report = self._began + _REPORT_SECONDS
        self._next_save = self._began + run.checkpoint_seconds
        self._next_event = min(self._next_report, self._next_save)

    def after_step(self, state: TrainingState) -> None:
        """See `loop.Observer`: two cheap questions unless something is due."""
        if self._stop_requested():
            self._save_and_stop(state)
        if self._clock() >= self._next_event:
            self._due(state)

    def report(self, state: TrainingState) -> None:
        """Say how far the run is."""
        settings = self._run.settings
        seconds = self._clock() - self._began
        samples = (state.step - self._first_step) * self._run.batch_size
        self._context.progress.report(
            ProgressReport(
                done=state.step,
                total=settings.steps,
                loss=recent_loss(state, settings) if state.step else None,
                samples_per_second=samples / seconds if seconds > 0 and samples else None,
                message="; ".join(filter(None, (self._note, self._writer.problem))),
                training_wire=self._meter.read(),
            )
        )

    def close(self) -> None:
        """Save nothing more."""
        self._writer.close()

    def _due(self, state: TrainingState) -> None:
        now = self._clock()
        if now >= self._next_report:
            self._next_report = now + _REPORT_SECONDS
            self.report(state)
        if now >= self._next_save:
            self._next_save = now + self._run.checkpoint_seconds
            self._save(state)
        self._next_event = min(self._next_report, self._next_save)

    def _save(self, state: TrainingState) -> None:
        require_finite(state, self._run.settings)
        self._writer.save(state.step, snapshot(state))

    def _save_and_stop(self, state: TrainingState) -> None:
        self._save(state)
        problem = self._writer.finish()
        saved = problem or "a checkpoint is saved, a restart resumes from it"
        name = self._run.settings.name
        raise DisruptedError(
            f"{name}: told to stop at step {state.step} of {self._run.settings.steps}; {saved}"
        )


def use_threads(threads: int) -> None:
    """Fix torch's threads: two of them add in another order than one."""
    torch.set_num_threads(threads)
