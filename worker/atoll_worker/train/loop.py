"""The training loop: the same steps as a bare torch loop, and as fast.

A step is a function of (state, step number): batch and noise come from the seed of that step,
so a loop that goes on from a checkpoint ends at the same bits. No clock and no I/O here: an
observer is asked after each step, and may stop the loop by raising.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from atoll_api.spec.training import Optimizer as OptimizerSettings
from atoll_worker import device
from atoll_worker.errors import NotFiniteError
from atoll_worker.train.ema import Ema
from atoll_worker.train.optimizer import AdamW, Implementation, learning_rate, make_optimizer
from atoll_worker.train.seeds import derive

CURVE_POINTS = 200
"""At most this many points of the loss curve."""

LossFunction = Callable[[nn.Module, torch.Generator], Tensor]
"""Draws a batch and its noise from the generator; returns the mean loss, a scalar."""


@dataclass(frozen=True)
class LoopSettings:
    """What one training run is.

    `name` is for messages, such as `island 2`. Seeds are those of (seed, purpose, island).
    """

    name: str
    steps: int
    optimizer: OptimizerSettings
    ema_decay: float
    seed: int
    purpose: str
    island: int = 0
    implementation: Implementation = "fused"


@dataclass
class TrainingState:
    """All that changes while training, and all that a checkpoint holds.

    `loss_sum` is the sum (a float64 scalar) of the losses since the last point of the curve; a
    loss that was not finite keeps it so.
    """

    model: nn.Module
    ema: Ema
    optimizer: AdamW
    step: int = 0
    """Steps done."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    rounds: int = 0
    """Rounds after which weights have been exchanged."""
    kept: dict[str, Tensor] = field(default_factory=dict)
    """What a strategy keeps beside the model; replaced as it changes, never changed in place."""
    history: list[JsonValue] = field(default_factory=list)
    """What the strategy says of each round that is over."""
    untold: list[dict[str, JsonValue]] = field(default_factory=list)
    """Records of rounds that are over, to be told once a checkpoint holds what came of them."""


class Observer(Protocol):
    """Asked after every step; costs as little as it can."""

    def after_step(self, state: TrainingState) -> None:
        """May report, save, or raise to stop the loop."""
        ...


def start_state(model: nn.Module, settings: LoopSettings) -> TrainingState:
    """The state before the first step; the model is trained in place."""
    optimizer = make_optimizer(model, settings.optimizer, settings.implementation)
    state = TrainingState(model, Ema(model, settings.ema_decay), optimizer)
    state.loss_sum = state.loss_sum.to(device.of(model))  # to add to it without waiting for a GPU
    return state


def curve_interval(steps: int) -> int:
    """Steps between two points of the loss curve: a function of the length alone."""
    return max(1, math.ceil(steps / CURVE_POINTS))


def run_loop(
    state: TrainingState,
    loss_of: LossFunction,
    settings: LoopSettings,
    observer: Observer,
    until: int | None = None,
) -> None:
    """Train from `state.step` to step `until`, or to `settings.steps`, in place.

    torch's default generators are those that are seeded for each step, and restored at the end:
    so dropout in a user's model repeats itself too.

    Raises:
        NotFiniteError: the loss became NaN or infinite, at the latest one curve interval ago.
    """
    interval = curve_interval(settings.steps)
    linear = settings.optimizer.schedule == "Linear"
    with torch.random.fork_rng(devices=device.generators()):
        generator = torch.default_generator
        for step in range(state.step, settings.steps if until is None else until):
            seed = derive(settings.seed, settings.purpose, settings.island, step)
            generator.manual_seed(seed)
            device.seed_dropout(seed)
            if linear:
                rate = learning_rate(settings.optimizer, step, settings.steps)
                state.optimizer.learning_rate = rate
            loss = loss_of(state.model, generator)
            state.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            state.optimizer.step()
            state.ema.update(step)
            state.loss_sum += loss.detach()
            state.step = step + 1
            if state.step % interval == 0 or state.step == settings.steps:
                _close_interval(state, settings, interval)
            observer.after_step(state)


def recent_loss(state: TrainingState, settings: LoopSettings) -> float:
    """Mean loss since the last point of the curve, or that point right after it."""
    count = _since_last_point(state)
    if count == 0:
        return state.curve[-1][1] if state.curve else math.nan
    return _finite(float(state.loss_sum) / count, state.step, settings)


def require_finite(state: TrainingState, settings: LoopSettings) -> None:
    """Check the loss and every weight; done before anything is saved.

    Raises:
        NotFiniteError: a loss since the last point of the curve, or a weight, is not finite.
    """
    _finite(float(state.loss_sum), state.step, settings)
    for tensor in (*state.model.parameters(), *state.ema.state().values()):
        _finite(float(tensor.detach().sum(dtype=torch.float64)), state.step, settings)


def _close_interval(state: TrainingState, settings: LoopSettings, interval: int) -> None:
    mean = float(state.loss_sum) / (state.step % interval or interval)
    state.curve.append((state.step, _finite(mean, state.step, settings)))
    state.loss_sum.zero_()


def _since_last_point(state: TrainingState) -> int:
    return state.step - (state.curve[-1][0] if state.curve else 0)


def _finite(value: float, step: int, settings: LoopSettings) -> float:
    if not math.isfinite(value):
        raise NotFiniteError(
            f"{settings.name}: the loss was {value} by step {step} of {settings.steps} at learning "
            f"rate {settings.optimizer.learning_rate:g}: lower training.optimizer.learningRate, or "
            "check the data and the task"
        )
    return value
