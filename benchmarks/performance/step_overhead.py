"""What a training step of an island costs beside a bare torch loop.

Digits, MLP 64x3, batch 64. A bare loop draws batch and noise, predicts, steps fused AdamW and
moves an exponential average. Atoll's also seeds every step, watches for NaN and SIGTERM, records
the loss curve, and reports every second to a hub in memory. Two bare loops:

- torch: as a tutorial writes it, with the mean squared error and the class `torch.optim.AdamW`;
- same: with Atoll's own arithmetic (the Task's corruption and loss a sample, the optimizer
  without torch's class around it), so that the ratio is the cost of the watching alone.

Blocks of all three alternate, in an order that swaps; a ratio is the median of its blocks'.
"""

import os
import time
from collections.abc import Callable

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


def atoll(task: DiffusionTask, part: Part, sample: SampleSpec, steps: int) -> None:
    """What an island runs, from the first step to the checked end."""
    settings = LoopSettings("benchmark", steps, Optimizer(), 0.999, seed=0, purpose="expert")
    run = Run(StepName("island-0"), settings, BATCH, checkpoint_seconds=60)
    context = Context(MemoryArtifacts(), MemoryProgress("island-0"), MemoryStop())
    world = World(context, NoMeter())
    train(run, lambda: build(task, sample), expert_loss(task, part, BATCH), world)


def seconds_of(work: Callable[[], None]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(blocks: int, steps: int) -> dict[str, list[float]]:
    """Seconds a step of each arm, one of each a block."""
    torch.set_num_threads(1)
    dataset = load(Data(source="builtin://digits"))
    part = Part.of(dataset, dataset.train)
    task = DiffusionTask(DiffusionSettings())

    def run_bare() -> None:
        model = build(task, dataset.sample)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
        bare(model, optimizer, tutorial_loss(part.x_ND), steps)

    def run_same() -> None:
        model = build(task, dataset.sample)
        optimizer = make_optimizer(model, Optimizer(), "fused")
        bare(model, optimizer, expert_loss(task, part, BATCH), steps)

    def run_atoll() -> None:
        atoll(task, part, dataset.sample, steps)

    arms = {"bare": run_bare, "same": run_same, "atoll": run_atoll}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for work in arms.values():
        work()  # warm up
    for block in range(blocks):
        order = list(arms) if block % 2 == 0 else list(reversed(arms))
        for name in order:
            seconds[name].append(seconds_of(arms[name]) / steps)
    return seconds


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
    found = results(measure(14, 150) if options.quick else measure(20, 1000))
    tell(found, options.json)


if __name__ == "__main__":
    main()
