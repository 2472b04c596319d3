"""TIES-Merging (Yadav et al., arXiv 2306.01708, section 4): trim, elect a sign, average.

Of each model's change against a base, tensor by tensor:
1. trim: keep the `density` of largest magnitude, exactly round(density n) and at least one; of
   equal magnitudes the first in the tensor's order. The rest counts as no change.
2. elect: the sign of the sum of the weighted changes, element by element; positive if they cancel.
3. mean of the changes of that sign, weighted among themselves alone (the paper's disjoint mean).
The base plus that mean is the result: the paper's lambda is 1.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Numbers, Piece, Rule, Whole, changes
from atoll_worker.merge.selection import Cut, cuts
from atoll_worker.merge.weights import check_weights


def check_density(density: float) -> None:
    """Refuse a share that keeps nothing, or more than all.

    Raises:
        BadDataError: the density is not within (0, 1].
    """
    if not 0 < density <= 1:  # NaN is not either
        raise BadDataError(f"density {density:g}: the share to keep is above 0 and at most 1")


def kept(count: int, density: float) -> int:
    """How many of `count` changes stay."""
    return min(count, max(1, round(density * count)))


class Ties:
    """TIES of a base and models. Reads them three times; five times in float64."""

    def __init__(self, weights: Sequence[float], density: float) -> None:
        check_weights(weights, len(weights))
        check_density(density)
        self._weights = tuple(weights)
        self._density = density

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        trims = self._trims(whole) if whole.count and self._density < 1 else []

        def elected(piece: Piece) -> Numbers:
            changed = changes(piece)
            for trim, change_N in zip(trims, changed, strict=bool(trims)):
                trim(change_N)
            agreed_N = agreed(changed, self._weights)
            agreed_N += piece[0]
            return agreed_N

        return elected

    def _trims(self, whole: Whole) -> "list[_Trim]":
        def magnitudes() -> Iterator[list[Numbers]]:
            for piece in whole.pieces():
                yield [np.abs(change_N, out=change_N) for change_N in changes(piece)]

        ranks = [kept(whole.count, self._density)] * len(self._weights)
        return [_Trim(cut) for cut in cuts(magnitudes, ranks, whole.dtype)]


class _Trim:
    """Zeroes all but the largest changes of one tensor of one model; given its pieces in order."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._left = cut.equal
        """How many more of the cut's own magnitude may stay."""

    def __call__(self, change_N: Numbers) -> None:
        magnitude_N = np.abs(change_N)
        if self._cut.equal == self._cut.of_equal:
            change_N *= magnitude_N >= self._cut.magnitude
        elif not self._left:
            change_N *= magnitude_N > self._cut.magnitude
        else:
            equal = np.flatnonzero(magnitude_N == self._cut.magnitude)
            change_N *= magnitude_N >= self._cut.magnitude
            change_N[equal[self._left :]] = 0
            self._left -= min(self._left, len(equal))


def agreed(changed: Sequence[Numbers], weights: Sequence[float]) -> Numbers:
    """The mean (N,) of the changes that have the elected sign; 0 where there is none.

    Overwrites the changes.
    """
    sum_N = np.zeros_like(changed[0])
    for change_N, weight in zip(changed, weights, strict=True):
        sum_N += np.multiply(change_N, weight, out=change_N)
    sign_N = np.copysign(1, sum_N, dtype=sum_N.dtype)
    sum_N[:] = 0
    weight_N = np.zeros_like(sum_N)
    for change_N, weight in zip(changed, weights, strict=True):
        agrees_N = np.multiply(change_N, sign_N, out=change_N) > 0
        sum_N += np.multiply(change_N, agrees_N, out=change_N)
        weight_N += np.multiply(agrees_N, weight, out=change_N, dtype=sum_N.dtype)
    weight_N += weight_N == 0  # there the sum is 0, and stays so
    sum_N /= weight_N
    sum_N *= sign_N
    return sum_N
