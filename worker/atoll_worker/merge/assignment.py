"""Which unit takes whose place: the assignment of greatest total similarity."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_TIE_BREAK = 1e-9
"""Added to what units gain by staying, relative to the largest similarity: units that are all
alike, such as dead ones, then keep their order on every machine."""


def assign(similarity_UU: Tensor, clusters: int = 1) -> Tensor:
    """The permutation p that maximises the sum of similarity[i, p[i]].

    Args:
        similarity_UU: of unit i of the reference (rows) to unit j of the other (columns); finite.
        clusters: more than 1: only whole clusters of `U / clusters` units change places, and
            units inside of one. The best order inside is found for each pair of clusters, then
            the best order of clusters, so that the result is exact.

    Returns:
        int64 (U,).
    """
    scores_UU = _with_tie_break(similarity_UU.detach().to(torch.float64).numpy())
    if clusters == 1:
        return torch.from_numpy(_best(scores_UU))
    size = len(scores_UU) // clusters
    blocks_GGSS = scores_UU.reshape(clusters, size, clusters, size).swapaxes(1, 2)
    inner_GGS = np.array([[_best(block_SS) for block_SS in row] for row in blocks_GGSS])
    taken_GGS = np.take_along_axis(blocks_GGSS, inner_GGS[..., None], axis=3)[..., 0]
    outer_G = _best(taken_GGS.sum(axis=2))
    return torch.from_numpy(
        np.concatenate([to * size + inner_GGS[at, to] for at, to in enumerate(outer_G)])
    )


def _with_tie_break(scores_UU: np.ndarray) -> np.ndarray:
    largest = np.abs(scores_UU).max(initial=0.0)
    return scores_UU + np.eye(len(scores_UU)) * (_TIE_BREAK * (largest or 1.0))


def _best(scores_UU: np.ndarray) -> np.ndarray:
    return np.asarray(linear_sum_assignment(scores_UU, maximize=True)[1], dtype=np.int64)
