"""Tasks of a user's own that a test holds at a step, or ends in the middle of a merge.

A test that acts at a moment must not race with the training for it: on a fast machine the moment
is over before a status tells of it. So the island waits there until the test has acted.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from atoll_api.spec.task import ClassificationTask as ClassificationSettings
from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.classification.task import ClassificationTask
from atoll_worker.tasks.diffusion.task import DiffusionTask

MARK = "dies-while-merging"
"""A file of this name, with the step's name in it, below the folder that the task is given."""


def spec(
    task: type, folder: Path, settings: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The `task` of a job that is held by files in a folder; with settings of the built-in task."""
    entrypoint = f"{__name__}:{task.__name__}"
    config = {"folder": str(folder), "settings": json.dumps(dict(settings))}
    return {"type": "Custom", "custom": {"entrypoint": entrypoint, "config": config}}


class Hold:
    """Lets a step of a run do so many training steps, and then wait."""

    def __init__(self, folder: Path, step: str, training_steps: int) -> None:
        self._order, self._answer = _files(folder, step)
        self._order.write_text(str(training_steps))

    def reached(self, _status: object = None) -> bool:
        """Whether it waits."""
        return self._answer.exists()

    def release(self) -> None:
        """Let it go on; a process that takes its place is not held either."""
        self._order.unlink()


class _Gate:
    """The side of the process that is held."""

    def __init__(self, folder: Path) -> None:
        self._order, self._answer = _files(folder, _step_of_this_process())
        self._passes = 0

    def passing(self) -> None:
        """Count one training step, and wait where a test wants it."""
        if not torch.is_grad_enabled():
            return
        self._passes += 1
        if self._passes == self._wanted():
            self._answer.touch()
            while self._order.exists():
                time.sleep(0.005)

    def _wanted(self) -> int | None:
        try:
            return int(self._order.read_text())
        except FileNotFoundError:
            return None


def _files(folder: Path, step: str) -> tuple[Path, Path]:
    return folder / f"hold-{step}", folder / f"held-{step}"


def _step_of_this_process() -> str:
    """Of a worker, whose first argument is its order; anything else is held by nobody."""
    return Path(sys.argv[1]).stem if len(sys.argv) > 1 else ""


class HeldDiffusion(DiffusionTask):
    """The built-in task, which a test can hold."""

    def __init__(self, folder: str, settings: str) -> None:
        super().__init__(DiffusionSettings.from_document(json.loads(settings)))
        self._gate = _Gate(Path(folder))

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """As the built-in task."""
        self._gate.passing()
        return super().predict(model, inputs)


class HeldClassifier(ClassificationTask):
    """The built-in task, which a test can hold, or kill in a merge, once."""

    def __init__(self, folder: str, settings: str) -> None:
        super().__init__(ClassificationSettings.from_document(json.loads(settings)))
        self._gate = _Gate(Path(folder))
        self._mark = Path(folder) / MARK

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """As the built-in task."""
        self._gate.passing()
        measuring = any(it.training for it in model.modules() if isinstance(it, nn.BatchNorm1d))
        merging = measuring and not torch.is_grad_enabled()
        if merging and self._mark.exists() and self._mark.read_text() == _step_of_this_process():
            self._mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(model, inputs)
