"""Losses on the holdout: the one score that every task has.

Every model is asked about the same corruptions, drawn from one seed.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.ensemble import combine
from atoll_worker.evaluate.systems import Asked, Ensemble, System
from atoll_worker.tasks.base import Batch, Inputs, Task
from atoll_worker.train.seeds import derive

ROWS = 4096
"""At least this many corruptions are scored: a small holdout is gone through several times."""
CHUNK_ROWS = 2048

Answer = Callable[[Inputs, Asked], Tensor]
"""A system's answer to a batch, shaped like the target."""


class Holdout:
    """The holdout, corrupted once, in chunks."""

    def __init__(self, task: Task, dataset: Dataset, assignment: Assignment, seed: int) -> None:
        self._task = task
        generator = torch.Generator().manual_seed(derive(seed, "evaluate/holdout"))
        passes = max(1, -(-ROWS // len(dataset.holdout)))
        position_N = torch.arange(len(dataset.holdout)).repeat(passes)
        self.chunks: list[tuple[Inputs, Asked]] = []
        for position_B in torch.split(position_N, CHUNK_ROWS):
            rows = dataset.holdout[position_B]
            label_B = None if dataset.label_N is None else dataset.label_N[rows]
            inputs = task.corrupt(
                Batch(dataset.x_ND[rows], label_B, dataset.num_classes), generator
            )
            asked = Asked(inputs.label_B, assignment.holdout_island_N[position_B])
            self.chunks.append((inputs, asked))

    def losses(self, answer: Answer) -> Tensor:
        """The loss (N,) of each corruption."""
        with torch.inference_mode():
            found = [self._task.losses(answer(i, asked), i) for i, asked in self.chunks]
        return torch.cat(found)

    def islands(self) -> Tensor:
        """The part (N,) of each corruption's sample."""
        return torch.cat([asked.island_B for _, asked in self.chunks])


def answer_of_model(task: Task, model: nn.Module) -> Answer:
    """One model alone."""
    return lambda inputs, _: task.predict(model, inputs)


class EnsembleAnswer:
    """An ensemble under a rule; one generator goes through all chunks."""

    def __init__(self, ensemble: Ensemble, rule: combine.Rule, seed: int) -> None:
        self._ensemble = ensemble
        self._rule = rule
        self._generator = torch.Generator().manual_seed(derive(seed, "evaluate/holdout-rule"))
        self._active_rows = 0.0
        self._rows = 0

    def __call__(self, inputs: Inputs, asked: Asked) -> Tensor:
        """The answer to one chunk."""
        system = System(self._ensemble, self._rule, asked, self._generator)
        answer_BD = system.predict(inputs)
        self._active_rows += system.mean_active * len(inputs.x_BD)
        self._rows += len(inputs.x_BD)
        return answer_BD

    def mean_active(self) -> float:
        """Experts evaluated for one sample, on average so far."""
        return self._active_rows / max(self._rows, 1)
