"""The samples that one process may see, in batches."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from atoll_worker.data.dataset import Dataset
from atoll_worker.tasks.base import Batch


@dataclass(frozen=True)
class Part:
    """A part of a dataset: samples and labels, copied out of it."""

    x_ND: Tensor
    label_N: Tensor | None
    num_classes: int = 0

    @classmethod
    def of(cls, dataset: Dataset, index_N: Tensor) -> Self:
        """The samples at these indices of the dataset, in this order."""
        label_N = None if dataset.label_N is None else dataset.label_N[index_N]
        return cls(dataset.x_ND[index_N], label_N, dataset.num_classes)

    def __len__(self) -> int:
        return len(self.x_ND)

    def rows(self, index_B: Tensor) -> Batch:
        """The samples at these positions of the part."""
        label_B = None if self.label_N is None else self.label_N.index_select(0, index_B)
        return Batch(self.x_ND.index_select(0, index_B), label_B, self.num_classes)

    def draw(self, size: int, generator: torch.Generator) -> tuple[Batch, Tensor]:
        """`size` samples with replacement, and their positions (size,)."""
        index_B = torch.randint(len(self.x_ND), (size,), generator=generator)
        return self.rows(index_B), index_B
