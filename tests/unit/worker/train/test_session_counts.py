# ruff: noqa: ARG002 (a fake has the signature of what it stands for)
"""What one training counts: all of its steps, and nothing that is none."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from scraped import Page
from torch import Tensor, nn

from atoll_api.names import Ref, island_step
from atoll_api.spec.training import Optimizer
from atoll_telemetry.instruments import Instruments
from atoll_worker import metrics
from atoll_worker.errors import DisruptedError, NotFiniteError, UnavailableError
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.exchange.traffic import EXCHANGE, TRAINING
from atoll_worker.ports import Artifact, Binding, Context, WireBytes
from atoll_worker.tally import Tally
from atoll_worker.train.gradients import gradient_norm
from atoll_worker.train.loop import LoopSettings, TrainingState
from atoll_worker.train.session import Pause, Run, World, train

STEP = island_step(0)
STEPS = 40
BATCH = 8
SETTINGS = LoopSettings(
    "island 0",
    STEPS,
    Optimizer(learning_rate=0.5, schedule="Linear"),
    0.9,
    seed=0,
    purpose="expert",
)


class Moved:
    """Bytes on sockets, as the kernel would count them."""

    def start(self) -> None:
        pass

    def read(self) -> tuple[WireBytes, ...]:
        return (WireBytes("hub", 300, 20),)


@dataclass
class Hands:
    """A clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class DeafArtifacts(MemoryArtifacts):
    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        raise UnavailableError("the hub does not answer")


@dataclass
class Counted:
    """One process of an island: its tally, its clock and its world."""

    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)
    stop_after: int | None = None
    merges: bool = False

    def __post_init__(self) -> None:
        self.clock = Hands()
        self.tally = Tally(Instruments(metrics.of_role("island", merges=self.merges)))
        stop = MemoryStop(self.stop_after)
        progress = MemoryProgress(STEP)
        self.context = Context(self.artifacts, progress, stop, tally=self.tally, clock=self.clock)

    @property
    def page(self) -> Page:
        return Page.of(self.tally.exposition("")[0].decode())

    def train(
        self, loss: Callable[[int], float] = lambda _: 1.0, rounds: "Halves | None" = None
    ) -> TrainingState:
        """Steps of 0.25 s, each with its loss multiplied by `loss(step)`."""
        done = 0

        def loss_of(network: nn.Module, generator: torch.Generator) -> Tensor:
            nonlocal done
            done += 1
            self.clock.now += 0.25
            x = torch.randn(BATCH, 4, generator=generator)
            found: Tensor = (network(x) - x.flip(1)).square().mean() * loss(done)
            return found

        run = Run(STEP, SETTINGS, BATCH, checkpoint_seconds=2, tokens_per_sample=3)
        return train(run, model, loss_of, World(self.context, Moved()), rounds)


class Halves:
    """Two rounds, between which an hour passes."""

    ends = (STEPS // 2, STEPS)

    def __init__(self, process: Counted) -> None:
        self._process = process
        self.phases: list[str] = []

    def begin(self, state: TrainingState) -> None:
        self._see()

    def exchange(self, state: TrainingState, pause: Pause) -> bool:
        self._see()
        for _ in range(60):
            self._process.clock.now += 60
            pause.wait_for("waits for island 1")
        return False

    def saved(self, number: int) -> None:
        pass

    def finish(self, state: TrainingState, pause: Pause) -> None:
        self._see()

    def _see(self) -> None:
        self.phases.append(self._process.context.traffic.phase)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def test_every_step_is_counted_once() -> None:
    process = Counted()
    process.train()
    page = process.page
    assert page.value("atoll_train_steps_total") == STEPS
    assert page.value("atoll_train_samples_total") == STEPS * BATCH
    assert page.value("atoll_train_tokens_total") == STEPS * BATCH * 3
    assert page.value("atoll_train_target_steps") == STEPS
    assert page.value("atoll_train_step_duration_seconds_count") == STEPS
    assert page.value("atoll_train_step_duration_seconds_sum") == STEPS * 0.25
    assert page.value("atoll_checkpoint_interval_seconds") == 2
    assert page.value("atoll_socket_bytes_total", direction="sent", peer="hub") == 300
    assert 0 < page.value("atoll_train_loss", split="train") < 10
    assert page.value("atoll_train_learning_rate") == pytest.approx(0.5 * 0.05)
    assert page.value("atoll_train_gradient_norm") > 0


def test_counting_changes_no_bit() -> None:
    counted, uncounted = Counted(), Counted()
    uncounted.context = Context(MemoryArtifacts(), MemoryProgress(STEP), MemoryStop())
    states = [it.train().model.state_dict() for it in (counted, uncounted)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])


def test_what_is_waited_between_rounds_is_no_step() -> None:
    process = Counted(merges=True)
    halves = Halves(process)
    process.train(rounds=halves)
    page = process.page
    assert page.value("atoll_train_step_duration_seconds_count") == STEPS
    assert page.value("atoll_train_step_duration_seconds_sum") == STEPS * 0.25
    assert page.value("atoll_merge_round") == 2
    assert halves.phases == [TRAINING, EXCHANGE, EXCHANGE, EXCHANGE]


def test_a_restart_counts_what_it_does_itself() -> None:
    hub = MemoryArtifacts()
    first = Counted(hub, stop_after=12)
    with pytest.raises(DisruptedError):
        first.train()
    second = Counted(hub)
    second.train()
    done = [it.page.value("atoll_train_steps_total") for it in (first, second)]
    assert done == [13, STEPS - 13]
    assert first.page.value("atoll_checkpoints_total", result="success") >= 1


def test_checkpoints_are_told_as_they_ended() -> None:
    process = Counted()
    process.train()
    page, saved = process.page, process.artifacts.bindings("checkpoints/")
    count = page.value("atoll_checkpoints_total", result="success")
    assert count >= len(saved) >= 1
    assert page.value("atoll_checkpoint_duration_seconds_count") == count
    assert page.value("atoll_checkpoint_size_bytes") in {it.size_bytes for it in saved.values()}
    assert page.value("atoll_checkpoint_last_success_timestamp_seconds") > 1e9
    deaf = Counted(DeafArtifacts(), stop_after=12)
    with pytest.raises(DisruptedError, match="not saved"):
        deaf.train()
    assert deaf.page.value("atoll_checkpoints_total", result="error") >= 1
    assert deaf.page.value("atoll_checkpoints_total", result="success") == 0
    assert deaf.page.value("atoll_checkpoint_last_success_timestamp_seconds") == 0


def test_a_loss_that_is_no_number_is_counted_with_the_steps_before_it() -> None:
    process = Counted()
    with pytest.raises(NotFiniteError):
        process.train(loss=lambda done: math.nan if done == 9 else 1.0)
    assert process.page.value("atoll_train_loss_not_finite_total") == 1
    assert process.page.value("atoll_train_steps_total") == 9


def test_the_norm_is_that_of_all_gradients_together() -> None:
    network = nn.Linear(2, 1)
    assert gradient_norm(network) is None
    network.weight.grad = torch.tensor([[3.0, 0.0]])
    assert gradient_norm(network) == 3.0
    network.bias.grad = torch.tensor([4.0])
    assert gradient_norm(network) == 5.0
    assert torch.equal(network.weight.grad, torch.tensor([[3.0, 0.0]]))
