"""An interrupted run ends at the bits of an undisturbed one; NaN is found and named."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atoll_api.names import checkpoint_ref, island_step
from atoll_api.spec.training import Optimizer
from atoll_worker.errands import ThreadOfErrands
from atoll_worker.errors import CorruptArtifactError, NotFiniteError
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.memory import MemoryArtifacts
from atoll_worker.ports import Artifact
from atoll_worker.train.checkpoint import CheckpointWriter, restore, resume, snapshot
from atoll_worker.train.loop import (
    CURVE_POINTS,
    LoopSettings,
    TrainingState,
    curve_interval,
    recent_loss,
    run_loop,
    start_state,
)
from atoll_worker.train.optimizer import Implementation

STEPS = 30
SETTINGS = LoopSettings(
    "island 2", STEPS, Optimizer(schedule="Linear"), ema_decay=0.9, seed=3, purpose="expert"
)


class Silent:
    def after_step(self, state: TrainingState) -> None:
        pass


class HaltError(Exception):
    pass


class HaltAt:
    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            raise HaltError


def fresh(config: LoopSettings = SETTINGS) -> TrainingState:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4)]
    return start_state(nn.Sequential(*layers), config)


def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
    x = torch.randn(16, 4, generator=generator)
    loss: Tensor = (model(x) - x.flip(1)).square().mean()
    return loss


def digest(state: TrainingState) -> str:
    return encode(snapshot(state)).manifest.digest


def undisturbed(config: LoopSettings = SETTINGS) -> TrainingState:
    state = fresh(config)
    run_loop(state, loss_of, config, Silent())
    return state


def stopped_at(step: int, config: LoopSettings = SETTINGS) -> Artifact:
    state = fresh(config)
    with pytest.raises(HaltError):
        run_loop(state, loss_of, config, HaltAt(step))
    return snapshot(state)


@pytest.mark.parametrize("implementation", get_args(Implementation))
def test_a_resumed_run_ends_at_the_same_bits(implementation: Implementation) -> None:
    config = replace(SETTINGS, implementation=implementation)
    expected = digest(undisturbed(config))
    for step in (1, 13, 29):
        checkpoint = stopped_at(step, config)
        torch.manual_seed(99)  # nothing may hang on torch's global generator
        state = fresh(config)
        restore(state, checkpoint)
        assert state.step == step
        run_loop(state, loss_of, config, Silent())
        assert digest(state) == expected


def test_two_interruptions_inside_one_curve_interval() -> None:
    config = replace(SETTINGS, steps=410)
    assert curve_interval(410) == 3
    state = fresh(config)
    restore(state, stopped_at(100, config))
    with pytest.raises(HaltError):
        run_loop(state, loss_of, config, HaltAt(101))
    again = fresh(config)
    restore(again, snapshot(state))
    run_loop(again, loss_of, config, Silent())
    assert digest(again) == digest(undisturbed(config))


def test_a_finished_checkpoint_has_nothing_left_to_do() -> None:
    done = undisturbed()
    state = fresh()
    restore(state, snapshot(done))
    run_loop(state, loss_of, SETTINGS, Silent())
    assert digest(state) == digest(done)


def test_a_snapshot_does_not_change_with_the_state() -> None:
    state = fresh()
    before = snapshot(state)
    expected = encode(before).manifest.digest
    run_loop(state, loss_of, SETTINGS, Silent())
    assert encode(before).manifest.digest == expected != digest(state)


def test_islands_and_seeds_see_other_noise() -> None:
    digests = {
        digest(undisturbed(config))
        for config in (
            SETTINGS,
            replace(SETTINGS, island=1),
            replace(SETTINGS, seed=4),
            replace(SETTINGS, purpose="router"),
        )
    }
    assert len(digests) == 4


def test_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    state = fresh()
    torch.manual_seed(5)
    run_loop(state, loss_of, SETTINGS, Silent())
    assert torch.equal(torch.rand(3), expected)


def test_training_lowers_the_loss() -> None:
    state = undisturbed(replace(SETTINGS, steps=400, optimizer=Optimizer(learning_rate=0.01)))
    losses = [loss for _, loss in state.curve]
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])


@settings(max_examples=50)
@given(steps=st.integers(1, 10**8))
def test_the_curve_has_at_most_its_points(steps: int) -> None:
    assert math.ceil(steps / curve_interval(steps)) <= CURVE_POINTS


def test_the_curve_is_the_mean_of_its_interval_and_ends_at_the_last_step() -> None:
    losses = iter(range(1000))

    def counted(model: nn.Module, generator: torch.Generator) -> Tensor:
        return loss_of(model, generator) * 0 + next(losses)

    config = replace(SETTINGS, steps=401)
    state = fresh(config)
    run_loop(state, counted, config, Silent())
    assert state.curve[0] == (3, 1.0)
    assert state.curve[-2:] == [(399, 397.0), (401, pytest.approx(399.5))]
    assert recent_loss(state, config) == pytest.approx(399.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_found_and_named(bad: float) -> None:
    steps = iter(range(1000))

    def spoiled(model: nn.Module, generator: torch.Generator) -> Tensor:
        loss = loss_of(model, generator)
        return loss * bad if next(steps) == 11 else loss

    with pytest.raises(NotFiniteError, match=r"island 2: .* by step 12 of 30 .*0\.001"):
        run_loop(fresh(), spoiled, SETTINGS, Silent())


def test_a_loss_that_is_not_finite_is_found_between_points_of_the_curve_too() -> None:
    state = fresh(replace(SETTINGS, steps=10**6))
    state.step = 7
    state.loss_sum.fill_(math.nan)
    with pytest.raises(NotFiniteError, match="by step 7"):
        recent_loss(state, replace(SETTINGS, steps=10**6))


def test_resume_takes_the_newest_and_passes_over_what_it_cannot_read() -> None:
    hub, step_name = MemoryArtifacts(), island_step(2)
    assert resume(hub, step_name, fresh).state.step == 0
    for step in (9, 10):
        hub.publish(checkpoint_ref(step_name, step), stopped_at(step))
    hub.publish(checkpoint_ref(island_step(20), 25), stopped_at(25))
    newest = resume(hub, step_name, fresh)
    assert newest.state.step == 10
    assert newest.note == "resumed at step 10"
    hub.publish(checkpoint_ref(step_name, 11), Artifact({"model/0.weight": torch.zeros(1)}))
    passed_over = resume(hub, step_name, fresh)
    assert passed_over.state.step == 10
    assert "checkpoints/island-2/11 is not readable" in passed_over.note


def test_without_a_readable_checkpoint_it_starts_again() -> None:
    hub, step_name = MemoryArtifacts(), island_step(0)
    hub.publish(checkpoint_ref(step_name, 5), Artifact({}, {"step": 5}))
    resumed = resume(hub, step_name, fresh)
    assert resumed.state.step == 0
    assert "started again" in resumed.note
    assert digest(resumed.state) == digest(fresh())


def test_a_checkpoint_of_another_model_is_refused() -> None:
    other = start_state(nn.Linear(2, 2), SETTINGS)
    with pytest.raises(CorruptArtifactError, match=r"the checkpoint.s model do not fit .*missing"):
        restore(other, snapshot(fresh()))


def test_the_writer_keeps_two() -> None:
    hub, step_name = MemoryArtifacts(), island_step(0)
    writer = CheckpointWriter(hub, step_name, ThreadOfErrands("checkpoints"))
    for step in (1, 2, 3):
        writer.save(step, snapshot(fresh()))
        assert writer.finish() == ""
    writer.close()
    assert set(hub.bindings()) == {checkpoint_ref(step_name, 2), checkpoint_ref(step_name, 3)}
