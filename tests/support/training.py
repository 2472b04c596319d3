"""Small jobs for the worker's roles, run in this process over a hub in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atoll_api.names import StepName
from atoll_api.spec.data import Data
from atoll_api.spec.partition import Partition
from atoll_api.spec.strategy import LearnedRouter
from atoll_api.spec.task import Architecture, DiffusionTask, MlpSettings, Task
from atoll_api.spec.training import Checkpoint, Ema, Optimizer, Training
from atoll_api.work_order import (
    NOBODY,
    BaselineOrder,
    IslandOrder,
    JobIdentity,
    PartitionOrder,
    RouterOrder,
)
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.ports import Context, ProgressReport, Stop

DIGITS = Data(source="builtin://digits")
SMALL_DIFFUSION = Task(
    type="Diffusion",
    diffusion=DiffusionTask(
        architecture=Architecture(type="MLP", mlp=MlpSettings(width=16, depth=1))
    ),
)


@dataclass
class SmallJob:
    """Orders of one job, and the hub that they share."""

    data: Data = DIGITS
    task: Task = SMALL_DIFFUSION
    count: int = 2
    steps: int = 40
    batch_size: int = 16
    seed: int = 0
    partition: Partition = field(default_factory=lambda: Partition(type="FeatureClusters"))
    router: LearnedRouter = field(
        default_factory=lambda: LearnedRouter(steps=30, batch_size=32, width=8)
    )
    optimizer: Optimizer = field(default_factory=Optimizer)
    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)
    reports: dict[str, ProgressReport] = field(default_factory=dict)

    def context(self, step: str, stop: Stop | None = None) -> Context:
        """The world of one step."""
        progress = MemoryProgress(step, self.reports)
        return Context(self.artifacts, progress, stop or MemoryStop())

    def partition_order(self) -> PartitionOrder:
        return PartitionOrder(
            **self._order("partition"),
            data=self.data,
            partition=self.partition,
            count=self.count,
            batch_size=self.batch_size,
        )

    def island_order(self, island: int) -> IslandOrder:
        return IslandOrder(**self._training(f"island-{island}"), island=island)

    def baseline_order(self) -> BaselineOrder:
        return BaselineOrder(**self._training("baseline"), count=self.count, router=self.router)

    def router_order(self) -> RouterOrder:
        return RouterOrder(**self._training("router"), count=self.count, router=self.router)

    def _order(self, step: str) -> dict[str, Any]:
        identity = JobIdentity(name="small", uid="0")
        return {
            "job": identity,
            "identity": NOBODY,
            "hub": "127.0.0.1:1",
            "step": StepName(step),
            "seed": self.seed,
        }

    def _training(self, step: str) -> dict[str, Any]:
        training = Training(
            steps=self.steps,
            batch_size_per_island=self.batch_size,
            optimizer=self.optimizer,
            ema=Ema(decay=0.99),
            checkpoint=Checkpoint(every_seconds=3600),
        )
        return {**self._order(step), "task": self.task, "data": self.data, "training": training}


def save_npz(path: Path, **arrays: Any) -> Data:
    """Write arrays and return the data that names them."""
    np.savez(path, allow_pickle=True, **{name: np.asarray(it) for name, it in arrays.items()})
    return Data(source=f"file://{path}")


def metadata_of(job: SmallJob, ref: str) -> Mapping[str, Any]:
    """What a bound artifact says of itself."""
    return next(
        job.artifacts.fetch(bound).metadata for bound in job.artifacts.bindings(ref) if bound == ref
    )
