"""What each island was given, for the page: a map of the data and a few of its samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset

SAMPLES = 16
MAX_ISLANDS = 24
"""More islands than this are counted but not shown one by one."""


@dataclass(frozen=True)
class Parts:
    """The division of the data, for the eye.

    Attributes:
        xy_P2: first two principal components of some training samples.
        island_P: the islands of those.
        mean_KD: mean sample of each island shown.
        few: a few samples of each island shown, (<= 16, ...).
    """

    xy_P2: Tensor
    island_P: Tensor
    mean_KD: Tensor
    few: tuple[Tensor, ...]


def parts_of(dataset: Dataset, assignment: Assignment) -> Parts | None:
    """Describe the parts of at most 24 islands; None where islands bring their own data."""
    if not assignment.divided:
        return None
    x_ND, island_N = dataset.x_ND[dataset.train], assignment.train_island_N
    own = [x_ND[island_N == k] for k in range(min(assignment.count, MAX_ISLANDS))]
    return Parts(
        xy_P2=assignment.picture_xy_P2,
        island_P=island_N[assignment.picture_index_P],
        mean_KD=torch.stack([x.float().mean(dim=0) for x in own]),
        few=tuple(x[:: max(1, len(x) // SAMPLES)][:SAMPLES] for x in own),
    )
