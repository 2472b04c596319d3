"""One training run in the world: resume, report, save, stop. Shared by the roles that train."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from atoll_api.names import StepName
from atoll_telemetry import logs, tracing
from atoll_worker import device
from atoll_worker.errors import DisruptedError, NotFiniteError
from atoll_worker.exchange.traffic import EXCHANGE, TRAINING
from atoll_worker.ports import Context, ProgressReport, WireBytes
from atoll_worker.train.checkpoint import (
    CheckpointWriter,
    Resumed,
    number_of,
    resume,
    snapshot,
)
from atoll_worker.train.gradients import gradient_norm
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
_LOOK_SECONDS = 0.05
"""Between two looks at the sockets, where rounds are short."""

_log = logging.getLogger(__name__)


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
    tokens_per_sample: int = 0
    """Of text; 0 for data that are none."""


class Rounds(Protocol):
    """What an island does between the rounds of a strategy that merges; `train.merging.Merging`."""

    @property
    def ends(self) -> tuple[int, ...]:
        """The step after which each round ends; the last is the end of the training."""
        ...

    def begin(self, state: TrainingState) -> None:
        """Before the first step, of a fresh state or a resumed one."""
        ...

    def exchange(self, state: TrainingState, pause: "Pause") -> bool:
        """Between two rounds: change the model in place. Returns whether to save right away."""
        ...

    def saved(self, number: int) -> None:
        """A checkpoint of this number can no longer be lost. Called on another thread."""
        ...

    def finish(self, state: TrainingState, pause: "Pause") -> None:
        """After the last round, once it is saved: nobody needs this island any more."""
        ...


class Pause(Protocol):
    """What waiting between rounds asks."""

    def wait_for(self, what: str) -> None:
        """Say what for; to be called at least every second.

        Raises:
            DisruptedError: told to stop; a checkpoint is saved.
        """
        ...


def train(
    run: Run,
    model: Callable[[], nn.Module],
    loss_of: LossFunction,
    world: "World",
    rounds: Rounds | None = None,
) -> TrainingState:
    """Train from the newest readable checkpoint, or from the start, to the end; on the device.

    Args:
        run: what to train, and for how long.
        model: makes the initialization, the same each time.
        loss_of: the loss of one step.
        world: hub, clock and meter.
        rounds: what to do between rounds, if the strategy has any.

    Raises:
        NotFiniteError: the loss became NaN or infinite; nothing of it is saved.
        DisruptedError: told to stop; a checkpoint is saved.
    """
    where = device.chosen()
    resumed = resume(
        world.context.artifacts, run.step_name, lambda: start_state(model().to(where), run.settings)
    )
    state = resumed.state
    began = _say_begin(run, state, world)
    world.meter.start()
    observer = _SessionObserver(run, world, resumed, rounds)
    training = tracing.span("train", step_from=state.step, steps=run.settings.steps)
    counting = observer.counting(state)
    with world.context.traffic.during(TRAINING), training, closing(observer), counting:
        observer.report(state)
        if rounds is not None:
            rounds.begin(state)
            _run_rounds(run, state, loss_of, rounds, observer)
        observer.go_on()
        run_loop(state, loss_of, run.settings, observer)
        require_finite(state, run.settings)
        observer.report(state)
    _say_end(run, state, world.clock() - began)
    return state


def _say_begin(run: Run, state: TrainingState, world: "World") -> float:
    """When it began, by the clock."""
    steps, where = run.settings.steps, device.named()
    _log.info("trains from step %d to %d on %s", state.step, steps, where)
    return world.clock()


def _say_end(run: Run, state: TrainingState, seconds: float) -> None:
    loss = recent_loss(state, run.settings)
    said = logs.extra(seconds=round(seconds, 3), loss=loss, steps=state.step)
    _log.info("trained to step %d in %.1f s, loss %.4g", state.step, seconds, loss, extra=said)


def _run_rounds(
    run: Run,
    state: TrainingState,
    loss_of: LossFunction,
    rounds: Rounds,
    observer: "_SessionObserver",
) -> None:
    for end in rounds.ends[state.rounds :]:
        observer.go_on()
        run_loop(state, loss_of, run.settings, observer, until=end)
        require_finite(state, run.settings)
        with tracing.span("round", round=state.rounds), observer.exchanging():
            save = rounds.exchange(state, observer.paused(state))
        state.rounds += 1
        observer.after_round(state, save=save)
    observer.save_now(state)
    with observer.exchanging():
        rounds.finish(state, observer.paused(state))
    observer.after_round(state, save=False)


@dataclass(frozen=True)
class World:
    """What a run needs beside itself."""

    context: Context
    meter: Meter

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds."""
        return self.context.clock

    def wire(self) -> tuple[WireBytes, ...]:
        """What passed on the sockets since training began; the tally hears of it too."""
        found = self.meter.read()
        for it in found:
            self.context.tally.sockets_moved(it.peer, it.sent_bytes, it.received_bytes)
        return found


class _SessionObserver:
    """Reports at most every second, saves at most every so many seconds."""

    def __init__(
        self, run: Run, world: World, resumed: Resumed, rounds: Rounds | None = None
    ) -> None:
        self._run = run
        self._context = world.context
        self._world = world
        self._tally = world.context.tally
        self._clock = world.clock
        self._stop_requested = world.context.stop.requested
        self._note = resumed.note
        self._waits_for = ""
        saved = rounds.saved if rounds else _nobody
        self._writer = CheckpointWriter(
            self._context.artifacts,
            run.step_name,
            self._context.errands("checkpoints"),
            saved,
            self._tally,
            world.clock,
        )
        self._first_step = self._counted_steps = resumed.state.step
        self._began = self._stepped = self._gpu_counted = world.clock()
        self._next_report = self._began + _REPORT_SECONDS
        self._next_save = self._began + run.checkpoint_seconds
        self._next_event = min(self._next_report, self._next_save)
        self._next_look = self._began

    def after_step(self, state: TrainingState) -> None:
        """See `loop.Observer`: two cheap questions and one number, unless something is due."""
        now = self._look(state)
        self._tally.stepped(now - self._stepped)
        self._stepped = now

    def go_on(self) -> None:
        """Training begins, or goes on after a pause: what was before it is no part of a step."""
        self._stepped = self._clock()

    @contextmanager
    def counting(self, state: TrainingState) -> Iterator[None]:
        """Count what is done, whenever somebody asks, to the end, whichever that is."""
        run = self._run
        gpu = device.memory() is not None
        self._tally.training_begins(run.settings.steps, run.checkpoint_seconds, gpu=gpu)
        self._tally.rounds_done(state.rounds)
        with self._tally.looking(lambda: self._count(state)):
            try:
                yield
            except NotFiniteError:
                self._tally.loss_was_not_finite()
                raise

    def exchanging(self) -> AbstractContextManager[None]:
        """Between two rounds."""
        return self._context.traffic.during(EXCHANGE)

    def report(self, state: TrainingState) -> None:
        """Say how far the run is."""
        settings = self._run.settings
        self._measure(state)
        loss = recent_loss(state, settings) if state.step else None
        if loss is not None:
            self._tally.loss_is("train", loss)
        seconds = self._clock() - self._began
        samples = (state.step - self._first_step) * self._run.batch_size
        self._context.progress.report(
            ProgressReport(
                done=state.step,
                total=settings.steps,
                loss=loss,
                samples_per_second=samples / seconds if seconds > 0 and samples else None,
                message="; ".join(filter(None, (self._said(state), self._writer.problem))),
                training_wire=self._world.wire(),
            )
        )

    def paused(self, state: TrainingState) -> Pause:
        """What a wait between two rounds asks."""
        return _Waiting(self, state)

    def look_up(self, state: TrainingState, waits_for: str) -> None:
        """While waiting: stop if told to, and say what for now and then."""
        self._waits_for = waits_for
        self._look(state)

    def after_round(self, state: TrainingState, *, save: bool) -> None:
        """Weights have been exchanged."""
        self._waits_for = ""
        self._tally.rounds_done(state.rounds)
        if self._clock() >= self._next_look:  # a neighbour that ends closes its sockets
            self._next_look = self._clock() + _LOOK_SECONDS
            self._world.wire()
        if save:
            self._writer.finish()  # neighbours keep snapshots until this one is saved
            self._save(state)

    def save_now(self, state: TrainingState) -> None:
        """Save, and wait until that is done or given up."""
        self._save(state)
        self._writer.finish()

    def close(self) -> None:
        """Save nothing more."""
        self._writer.close()

    def _said(self, state: TrainingState) -> str:
        notes = (device.described(), self._note, *_notes_of(state), self._waits_for)
        return "; ".join(filter(None, notes))

    def _look(self, state: TrainingState) -> float:
        """Stop if told to, and do what is due; the time now."""
        if self._stop_requested():
            self._save_and_stop(state)
        now = self._clock()
        if now >= self._next_event:
            self._due(state)
        return now

    def _count(self, state: TrainingState) -> None:
        """What was done since this was asked last; on the thread of who asks."""
        done = state.step  # once: training goes on meanwhile
        steps, self._counted_steps = done - self._counted_steps, done
        samples = steps * self._run.batch_size
        self._tally.trained(steps, samples, samples * self._run.tokens_per_sample)

    def _measure(self, state: TrainingState) -> None:
        """What costs a little: gradients are still those of the last step."""
        if self._tally.counts and (norm := gradient_norm(state.model)) is not None:
            self._tally.gradient_is(norm, state.optimizer.learning_rate)
        if (memory := device.memory()) is not None:
            now = self._clock()
            self._tally.gpu_held(now - self._gpu_counted, *memory)
            self._gpu_counted = now

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
        self._writer.save(number_of(state), snapshot(state))

    def _save_and_stop(self, state: TrainingState) -> None:
        self._save(state)
        problem = self._writer.finish()
        saved = problem or "a checkpoint is saved, a restart resumes from it"
        name = self._run.settings.name
        raise DisruptedError(
            f"{name}: told to stop at step {state.step} of {self._run.settings.steps}; {saved}"
        )


@dataclass(frozen=True)
class _Waiting:
    """Implements `Pause`."""

    observer: _SessionObserver
    state: TrainingState

    def wait_for(self, what: str) -> None:
        """See `Pause.wait_for`."""
        self.observer.look_up(self.state, what)


def _nobody(_number: int) -> None:
    """Nobody waits for a checkpoint of a run without rounds."""


def _notes_of(state: TrainingState) -> tuple[str, ...]:
    """What a person should know of the last round."""
    last = state.history[-1] if state.history else None
    note = last.get("note") if isinstance(last, dict) else None
    return (note,) if isinstance(note, str) else ()


def use_threads(threads: int) -> None:
    """Fix torch's threads: two of them add in another order than one. And choose the device.

    Before a task is loaded: see `device`.
    """
    torch.set_num_threads(threads)
    device.chosen()
