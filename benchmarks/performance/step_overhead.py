"""What a training step of an island costs beside a bare torch loop.

Digits, MLP 64x3, batch 64. A bare loop draws batch and noise, predicts, steps fused AdamW and
moves an exponential average. Atoll's also seeds every step, watches for NaN and SIGTERM, records
the loss curve, and reports every second to a hub in memory. Two bare loops:

- torch: as a tutorial writes it, with the mean squared error and the class `torch.optim.AdamW`;
- same: with Atoll's own arithmetic (the Task's corruption and loss a sample, the optimizer
  without torch's class around it), so that the ratio is the cost of the watching alone.

Blocks of all three alternate, in an order that swaps; a ratio is the median of its blocks'.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
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
TARGET_RATIO = 1.03


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


def results(seconds: dict[str, list[float]]) -> list[dict[str, object]]:
    """The measured figures, with the target where there is one."""
    return [
        ratio("island step / bare torch step", seconds["atoll"], seconds["bare"], TARGET_RATIO),
        ratio(
            "island step / bare step, same arithmetic",
            seconds["atoll"],
            seconds["same"],
            TARGET_RATIO,
        ),
        microseconds("bare torch step", seconds["bare"]),
        microseconds("island step", seconds["atoll"]),
    ]


def ratio(name: str, ours: list[float], theirs: list[float], target: float) -> dict[str, object]:
    """The median of the blocks' ratios."""
    runs = [round(mine / other, 4) for mine, other in zip(ours, theirs, strict=True)]
    value = round(statistics.median(runs), 4)
    return _figure(name, value, "ratio", target, met=value <= target) | {"runs": runs}


def microseconds(name: str, seconds: list[float]) -> dict[str, object]:
    """The median of the blocks, in microseconds a step."""
    runs = [round(one * 1e6, 1) for one in seconds]
    return _figure(name, round(statistics.median(runs), 1), "us", None, met=None) | {"runs": runs}


def _figure(
    name: str, value: float, unit: str, target: float | None, *, met: bool | None
) -> dict[str, object]:
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met}


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short blocks; the ratio is noisy")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found = results(measure(14, 150) if options.quick else measure(20, 1000))
    for one in found:
        met = "" if one["met"] is None else ("  met" if one["met"] else "  MISSED")
        target = "" if one["target"] is None else f"  target <= {one['target']}"
        print(f"{one['name']:46} {one['value']:>10} {one['unit']}{target}{met}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
