"""The weighted mean for models that are read in pieces: `mean.weighted_mean`, bit for bit."""

from collections.abc import Sequence

import numpy as np

from atoll_worker.merge.pieces import Numbers, Piece, Rule, Whole
from atoll_worker.merge.weights import check_weights, total_of


class Mean:
    """The weighted mean of models. Reads them once."""

    def __init__(self, weights: Sequence[float]) -> None:
        check_weights(weights, len(weights))
        self._weights = tuple(weights)

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        del whole
        return lambda piece: mean_of(piece, self._weights)


def mean_of(piece: Piece, weights: Sequence[float]) -> Numbers:
    """The mean of arrays by good weights; overwrites them.

    Product and sum are rounded one after the other: see `mean`.
    """
    counted = [pair for pair in zip(piece, weights, strict=True) if pair[1]]
    for array_N, weight in counted:
        np.multiply(array_N, weight, out=array_N)
    total_N = counted[0][0]
    for array_N, _ in counted[1:]:
        total_N += array_N
    total_N /= total_of(weights)
    return total_N
