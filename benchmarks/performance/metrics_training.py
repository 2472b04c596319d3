"""The training of `metrics.py`, seen or unseen: an island's loop over a hub in memory."""

import time

import torch
from step_overhead import NoMeter, build

from atoll_api.names import island_step
from atoll_api.spec.data import Data
from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_api.spec.training import Optimizer
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.ports import Context
from atoll_worker.tally import Tally
from atoll_worker.tasks.diffusion.task import DiffusionTask
from atoll_worker.train.expert import expert_loss
from atoll_worker.train.loop import LoopSettings
from atoll_worker.train.session import Run, World, train

BATCH = 64


class Training:
    """The same training as often as is asked for."""

    def __init__(self, *, seen: bool) -> None:
        torch.set_num_threads(1)
        self._dataset = load(Data(source="builtin://digits"))
        self._part = Part.of(self._dataset, self._dataset.train)
        self._task = DiffusionTask(DiffusionSettings())
        self._tally = _seen() if seen else Tally()

    @property
    def port(self) -> int:
        """Where it is scraped; 0 if it is not."""
        return self._tally.port

    def seconds_a_step(self, steps: int) -> float:
        """Train so many steps from the start."""
        settings = LoopSettings("benchmark", steps, Optimizer(), 0.999, seed=0, purpose="expert")
        run = Run(island_step(0), settings, BATCH, checkpoint_seconds=60)
        progress = MemoryProgress("island-0")
        context = Context(MemoryArtifacts(), progress, MemoryStop(), tally=self._tally)
        loss_of = expert_loss(self._task, self._part, BATCH)
        began = time.perf_counter()
        train(
            run,
            lambda: build(self._task, self._dataset.sample),
            loss_of,
            World(context, NoMeter()),
        )
        return (time.perf_counter() - began) / steps


def _seen() -> Tally:
    # Here, for whoever is not seen loads none of it.
    from atoll_telemetry.instruments import Instruments  # noqa: PLC0415
    from atoll_worker import health, metrics  # noqa: PLC0415

    tally = Tally(Instruments(metrics.of_role("island", merges=True)))
    tally.port = health.serve(0, lambda: True, tally, health.LOOPBACK)
    return tally
