"""Losses on the holdout: the one score that every task has.

Every model is asked about the same corruptions, drawn from one seed. Of text, what a router saw is
not scored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.ensemble import combine
from atoll_worker.evaluate.systems import Asked, Ensemble, System, ask
from atoll_worker.tasks.base import Batch, Inputs, Measured, Task
from atoll_worker.train.seeds import derive

ROWS = 4096
"""At least this many corruptions are scored: a small holdout is gone through several times."""
CHUNK_ROWS = 2048
MOST_TEXTS = 2048
"""Of a large holdout of text, so many texts are scored, evenly spread."""

Answer = Callable[[Inputs, Asked], Tensor]
"""A system's answer to a batch, shaped like the target."""


@dataclass(frozen=True)
class Judged:
    """What a system scored on each corruption.

    Attributes:
        losses_N: the task's loss.
        measures: its other scores by name, each (N,).
    """

    losses_N: Tensor
    measures: Mapping[str, Tensor]


class Holdout:
    """The holdout, corrupted once, in chunks."""

    def __init__(
        self, task: Task, dataset: Dataset, assignment: Assignment, seed: int, *, prefix: int = 0
    ) -> None:
        """Corrupt the holdout.

        Args:
            task: corrupts and scores.
            dataset: whose holdout.
            assignment: the part of each sample.
            seed: of the job.
            prefix: tokens of a text by which it is routed, which are not scored; 0: no text.
        """
        self._task = task
        self._unscored = max(0, prefix - 1)  # the first token is never predicted
        generator = torch.Generator().manual_seed(derive(seed, "evaluate/holdout"))
        self.chunks: list[tuple[Inputs, Asked]] = []
        for position_B in torch.split(_positions(len(dataset.holdout), prefix), CHUNK_ROWS):
            rows = dataset.holdout[position_B]
            label_B = None if dataset.label_N is None else dataset.label_N[rows]
            inputs = task.corrupt(
                Batch(dataset.x_ND[rows], label_B, dataset.num_classes), generator
            )
            asked = Asked(inputs.label_B, assignment.holdout_island_N[position_B])
            self.chunks.append((inputs, asked))

    def judge(self, answer: Answer) -> Judged:
        """Score a system on each corruption."""
        with torch.inference_mode():
            found = [self._judge(answer(inputs, asked), inputs) for inputs, asked in self.chunks]
        return Judged(
            torch.cat([it.losses_N for it in found]),
            {name: torch.cat([it.measures[name] for it in found]) for name in found[0].measures},
        )

    def islands(self) -> Tensor:
        """The part (N,) of each corruption's sample."""
        return torch.cat([asked.island_B for _, asked in self.chunks])

    def _judge(self, predicted_BD: Tensor, inputs: Inputs) -> Judged:
        if self._unscored:
            predicted_BD = predicted_BD[:, self._unscored :]
            inputs = replace(inputs, target_BD=inputs.target_BD[:, self._unscored :])
        task = self._task
        measures = task.measures(predicted_BD, inputs) if isinstance(task, Measured) else {}
        return Judged(self._task.losses(predicted_BD, inputs), measures)


def _positions(count: int, prefix: int) -> Tensor:
    """What is scored: a text once, as nothing is drawn; anything else often enough."""
    if prefix:
        return torch.linspace(0, count - 1, min(count, MOST_TEXTS)).long()
    return torch.arange(count).repeat(max(1, -(-ROWS // count)))


def answer_of_model(task: Task, model: nn.Module) -> Answer:
    """One model alone."""
    return lambda inputs, _: ask(task, model, inputs)


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
