"""What a training step of an island costs beside a bare torch loop.

Digits, MLP 64x3, batch 64. A bare loop draws batch and noise, predicts, steps fused AdamW and
moves an exponential average. Atoll's also seeds every step, watches for NaN and SIGTERM, records
the loss curve, and reports every second to a hub in memory. Two bare loops:

- torch: as a tutorial writes it, with the mean squared error and the class `torch.optim.AdamW`;
- same: with Atoll's own arithmetic (the Task's corruption and loss a sample, the optimizer
  without torch's class around it), so that the ratio is the cost of the watching alone.

All three train at once, each in a thread, and take turns of some fifty steps in an order that swaps,
so that a machine whose speed drifts is as slow for each. A ratio is that of the turns of 1000 steps
together; the figure is the median of those. What a run does before its first step and after its last
is not in it. Atoll reports and saves by the clock, which goes on in the others' turns: three times as
often a step as alone, which counts against it.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from figures import Figure, Target, median, parser, tell
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.names import StepName
from atoll_api.spec.data import Data
from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_api.spec.training import Optimizer
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.ports import Context, WireBytes
from atoll_worker.tasks.base import SampleSpec
from atoll_worker.tasks.diffusion.task import DiffusionTask
from atoll_worker.train.expert import expert_loss
from atoll_worker.train.loop import LoopSettings, LossFunction
from atoll_worker.train.optimizer import AdamW, make_optimizer
from atoll_worker.train.session import Run, World, train

BATCH = 64
TARGET = Target(1.03)


class NoMeter:
    """Counts nothing: a hub in memory has no socket."""

    def start(self) -> None:
        """Nothing to start."""

    def read(self) -> tuple[WireBytes, ...]:
        """No bytes."""
        return ()


def build(task: DiffusionTask, sample: SampleSpec) -> nn.Module:
    """The same initialization each time."""
    torch.manual_seed(0)
    return task.build_model(sample)


def bare(
    model: nn.Module, optimizer: torch.optim.AdamW | AdamW, loss_of: LossFunction, steps: int
) -> None:
    """The loop that a tutorial would show."""
    live = [parameter.detach() for parameter in model.parameters()]
    average = [parameter.clone() for parameter in live]
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        loss = loss_of(model, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        torch._foreach_lerp_(average, live, 1 - min(0.999, (1 + step) / (10 + step)))


def tutorial_loss(x_ND: Tensor) -> LossFunction:
    """Flow matching on the linear path, written out."""

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        x_BD = x_ND[torch.randint(len(x_ND), (BATCH,), generator=generator)]
        time_B = torch.rand(BATCH, generator=generator)
        noise_BD = torch.randn(x_BD.shape, generator=generator)
        t = time_B.view(-1, 1, 1, 1)
        predicted_BD = model((1 - t) * x_BD + t * noise_BD, time_B, None)
        return F.mse_loss(predicted_BD, noise_BD - x_BD)

    return loss_of


def atoll(
    task: DiffusionTask,
    part: Part,
    sample: SampleSpec,
    steps: int,
    watched: Callable[[LossFunction], LossFunction] = lambda loss_of: loss_of,
) -> None:
    """What an island runs, from the first step to the checked end."""
    settings = LoopSettings("benchmark", steps, Optimizer(), 0.999, seed=0, purpose="expert")
    run = Run(StepName("island-0"), settings, BATCH, checkpoint_seconds=60)
    context = Context(MemoryArtifacts(), MemoryProgress("island-0"), MemoryStop())
    world = World(context, NoMeter())
    train(run, lambda: build(task, sample), watched(expert_loss(task, part, BATCH)), world)


class Turn:
    """One arm's leave to go on: its thread waits in `step` until it is given another turn."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._left = 0
        self._began: float | None = None
        self._go, self._done = Semaphore(0), Semaphore(0)
        self.seconds: list[float] = []
        """Of each turn, wall."""

    def watched(self, loss_of: LossFunction) -> LossFunction:
        """The same loss, whose every call begins a step."""

        def watching(model: nn.Module, generator: torch.Generator) -> Tensor:
            self._step()
            return loss_of(model, generator)

        return watching

    def _step(self) -> None:
        if self._left == 0:
            if self._began is not None:
                self.seconds.append(time.perf_counter() - self._began)
            self._done.release()
            self._go.acquire()
            self._left, self._began = self._steps, time.perf_counter()
        self._left -= 1

    def wait(self, thread: "Future[None]") -> None:
        """Until the arm stands before a turn; whatever its thread ended of is raised here."""
        while not self._done.acquire(timeout=1):
            if thread.done():
                thread.result()
                raise RuntimeError("an arm has ended before its turns were through")

    def take(self, thread: "Future[None]") -> None:
        """Let it have one, to its end."""
        self._go.release()
        self.wait(thread)

    def leave(self) -> None:
        """Let it go on to its end without waiting again."""
        self._steps = sys.maxsize
        self._go.release()


Arm = Callable[[Turn, int], None]
"""Trains so many steps, with the loss watched by the turn."""


def arms() -> Mapping[str, Arm]:
    """Those that are compared."""
    dataset = load(Data(source="builtin://digits"))
    part = Part.of(dataset, dataset.train)
    task = DiffusionTask(DiffusionSettings())

    def run_bare(turn: Turn, steps: int) -> None:
        model = build(task, dataset.sample)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
        bare(model, optimizer, turn.watched(tutorial_loss(part.x_ND)), steps)

    def run_same(turn: Turn, steps: int) -> None:
        model = build(task, dataset.sample)
        optimizer = make_optimizer(model, Optimizer(), "fused")
        bare(model, optimizer, turn.watched(expert_loss(task, part, BATCH)), steps)

    def run_atoll(turn: Turn, steps: int) -> None:
        atoll(task, part, dataset.sample, steps, turn.watched)

    return {"bare": run_bare, "same": run_same, "atoll": run_atoll}


def measure(blocks: int, rounds: int, turn_steps: int = 50) -> dict[str, list[float]]:
    """Seconds a step of each arm, one of each a block of so many rounds of turns."""
    compared = arms()
    turns = {name: Turn(turn_steps) for name in compared}
    warming = rounds  # a block that is not counted
    steps = (warming + blocks * rounds) * turn_steps + 1
    with ThreadPoolExecutor(len(compared)) as threads:
        running = {
            name: threads.submit(_alone, arm, turns[name], steps) for name, arm in compared.items()
        }
        try:
            for name, turn in turns.items():
                turn.wait(running[name])
            for number in range(warming + blocks * rounds):
                for name in list(turns) if number % 2 == 0 else reversed(list(turns)):
                    turns[name].take(running[name])
        finally:
            for turn in turns.values():
                turn.leave()
        for thread in running.values():
            thread.result()
    return {
        name: _blocks(turn.seconds[warming:], rounds, turn_steps) for name, turn in turns.items()
    }


def _alone(arm: Arm, turn: Turn, steps: int) -> None:
    torch.set_num_threads(1)
    arm(turn, steps)


def _blocks(seconds: list[float], rounds: int, turn_steps: int) -> list[float]:
    """Seconds a step, of so many turns together."""
    starts = range(0, len(seconds), rounds)
    return [sum(seconds[at : at + rounds]) / (rounds * turn_steps) for at in starts]


def results(seconds: dict[str, list[float]]) -> list[Figure]:
    """The measured figures, with the target where there is one."""
    step, bare, same = (seconds[name] for name in ("atoll", "bare", "same"))
    return [
        median("island step / bare torch step", ratios(step, bare), "ratio", TARGET),
        median("island step / bare step, same arithmetic", ratios(step, same), "ratio", TARGET),
        median("bare torch step", [it * 1e6 for it in bare], "us"),
        median("island step", [it * 1e6 for it in step], "us"),
    ]


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Block by block."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "short blocks; the ratio is noisy").parse_args()
    found = results(measure(5, 4) if options.quick else measure(20, 20))
    tell(found, options.json)


if __name__ == "__main__":
    main()
