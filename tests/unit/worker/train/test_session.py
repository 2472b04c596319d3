# ruff: noqa: ARG002 (a fake has the signature of what it stands for)
"""Reports, checkpoints and SIGTERM around the loop; the hub may be gone."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from atoll_api.names import HUB, Ref, checkpoint_ref, island_step
from atoll_api.spec.training import Optimizer
from atoll_worker.errors import DisruptedError, UnavailableError
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.exchange.traffic import SETUP, TRAINING, Label
from atoll_worker.ports import Artifact, Artifacts, Binding, Context, WireBytes
from atoll_worker.train.checkpoint import snapshot
from atoll_worker.train.loop import LoopSettings, TrainingState
from atoll_worker.train.session import Run, World, train

STEP = island_step(1)
STEPS = 40
SETTINGS = LoopSettings("island 1", STEPS, Optimizer(), 0.9, seed=0, purpose="expert", island=1)
WIRE = (WireBytes("island", 0, 0),)


class FixedMeter:
    def start(self) -> None:
        pass

    def read(self) -> tuple[WireBytes, ...]:
        return WIRE


class Ticking:
    """A clock that goes on by a fixed number of seconds whenever it is read."""

    def __init__(self, tick_seconds: float) -> None:
        self.now, self.tick = 0.0, tick_seconds

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class DeafArtifacts(MemoryArtifacts):
    """A hub that is not there any more."""

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        raise UnavailableError("the hub does not answer: is it running?")

    def drop(self, refs: Sequence[Ref]) -> None:
        raise UnavailableError("the hub does not answer: is it running?")


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def loss_of(network: nn.Module, generator: torch.Generator) -> Tensor:
    x = torch.randn(8, 4, generator=generator)
    loss: Tensor = (network(x) - x.flip(1)).square().mean()
    return loss


def session(
    artifacts: Artifacts,
    *,
    stop_after: int | None = None,
    tick_seconds: float = 0.001,
    progress: MemoryProgress | None = None,
) -> TrainingState:
    progress = progress or MemoryProgress(STEP)
    clock = Ticking(tick_seconds)
    context = Context(artifacts, progress, MemoryStop(stop_after), clock=clock)
    run = Run(STEP, SETTINGS, batch_size=8, checkpoint_seconds=10)
    return train(run, model, loss_of, World(context, FixedMeter()))


def digest(state: TrainingState) -> str:
    return encode(snapshot(state)).manifest.digest


def test_sigterm_saves_and_the_restart_ends_at_the_same_bits() -> None:
    hub = MemoryArtifacts()
    for stop_after in (6, 13):
        with pytest.raises(DisruptedError, match="a checkpoint is saved"):
            session(hub, stop_after=stop_after)
    assert set(hub.bindings()) == {checkpoint_ref(STEP, 7), checkpoint_ref(STEP, 21)}
    progress = MemoryProgress(STEP)
    resumed = session(hub, progress=progress)
    assert progress.history[0].message == "resumed at step 21"
    assert digest(resumed) == digest(session(MemoryArtifacts()))


def test_checkpoints_come_by_the_clock() -> None:
    hub = MemoryArtifacts()
    session(hub, tick_seconds=1.0)
    saved = hub.bindings()
    assert 1 <= len(saved) <= 2
    assert digest(session(hub)) == digest(session(MemoryArtifacts()))


def test_bytes_that_pass_while_it_trains_are_counted_apart() -> None:
    context = Context(MemoryArtifacts(), MemoryProgress(STEP), MemoryStop(), clock=Ticking(0.001))

    def telling(network: nn.Module, generator: torch.Generator) -> Tensor:
        context.traffic.add("sent", HUB, 1)
        return loss_of(network, generator)

    def talkative() -> nn.Module:
        context.traffic.add("received", HUB, 10)
        return model()

    run = Run(STEP, SETTINGS, batch_size=8, checkpoint_seconds=10)
    train(run, talkative, telling, World(context, FixedMeter()))
    context.traffic.add("sent", HUB, 100)
    assert context.traffic.counts() == {
        Label("received", HUB, SETUP): 10,
        Label("sent", HUB, TRAINING): STEPS,
        Label("sent", HUB, SETUP): 100,
    }


def test_training_goes_on_without_the_hub_and_says_so() -> None:
    progress = MemoryProgress(STEP)
    state = session(DeafArtifacts(), tick_seconds=1.0, progress=progress)
    assert digest(state) == digest(session(MemoryArtifacts()))
    with pytest.raises(DisruptedError, match="not saved: the hub does not answer"):
        session(DeafArtifacts(), stop_after=3)


def test_reports_are_rare_and_the_last_one_is_complete() -> None:
    progress = MemoryProgress(STEP)
    session(MemoryArtifacts(), tick_seconds=0.2, progress=progress)
    reports = progress.history
    assert 4 <= len(reports) <= 20
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    last = reports[-1]
    assert (last.done, last.total, last.training_wire) == (STEPS, STEPS, WIRE)
    assert last.loss is not None
    assert last.samples_per_second is not None
    assert last.samples_per_second > 0
