"""TIES-Merging (Yadav et al., arXiv 2306.01708, section 4): trim, elect a sign, average.

Of each model's change against a base, tensor by tensor:
1. trim: keep the `density` of largest magnitude, exactly round(density n) and at least one; of
   equal magnitudes the first in the tensor's order. The rest counts as no change.
2. elect: the sign of the sum of the weighted changes, element by element; positive if they cancel.
3. mean of the changes of that sign, weighted among themselves alone (equation 2's disjoint mean).
The base plus that mean is the result: the paper's lambda is 1.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from atoll_worker.errors import BadDataError
from atoll_worker.merge.mean import check_weights
from atoll_worker.merge.pieces import Piece, Rule, Whole, changes_of, merged
from atoll_worker.merge.selection import Cut, cuts


def check_density(density: float) -> None:
    """Refuse a share that keeps nothing, or more than all.

    Raises:
        BadDataError: the density is not within (0, 1].
    """
    if not 0 < density <= 1:  # NaN is not either
        raise BadDataError(f"density {density:g}: the share to keep is above 0 and at most 1")


def ties(
    base: Tensor, tensors: Sequence[Tensor], weights: Sequence[float], density: float
) -> Tensor:
    """Merge tensors of one shape against their base, in the type of the base.

    Raises:
        BadDataError: see `check_density` and `mean.check_weights`.
    """
    check_weights(weights, len(tensors))
    return merged(Ties(weights, density), "", [base, *tensors])


def kept(count: int, density: float) -> int:
    """How many of `count` changes stay."""
    return min(count, max(1, round(density * count)))


class Ties:
    """TIES for a base and models that are read in pieces, three times (float64: five)."""

    def __init__(self, weights: Sequence[float], density: float) -> None:
        check_density(density)
        self._weights = tuple(weights)
        self._density = density

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        trims = self._trims(whole)

        def elected(piece: Piece) -> Tensor:
            base_N = piece[0].to(whole.dtype)
            changes = changes_of(piece, whole.dtype)
            trimmed = [trim(change_N) for trim, change_N in zip(trims, changes, strict=True)]
            return base_N + agreed(trimmed, self._weights)

        return elected

    def _trims(self, whole: Whole) -> "list[Trim]":
        if not whole.count or self._density == 1:
            return [lambda change_N: change_N for _ in self._weights]

        def magnitudes() -> Iterator[list[Tensor]]:
            for piece in whole.pieces():
                yield [change_N.abs_() for change_N in changes_of(piece, whole.dtype)]

        ranks = [kept(whole.count, self._density) for _ in self._weights]
        found = cuts(magnitudes, ranks, whole.dtype)
        return [Trimmed(cut, whole.dtype) for cut in found]


Trim = Callable[[Tensor], Tensor]
"""Changes (N,) of a piece, with zeros for those that are not kept."""


class Trimmed:
    """Keeps the largest changes of one tensor of one model; called with its pieces in order."""

    def __init__(self, cut: Cut, dtype: torch.dtype) -> None:
        self._cut = cut
        self._left = cut.equal
        """How many more of the cut's own magnitude may stay."""
        magnitude = torch.tensor(cut.magnitude, dtype=dtype)
        self._just_below = float(torch.nextafter(magnitude, torch.zeros((), dtype=dtype)))

    def __call__(self, change_N: Tensor) -> Tensor:
        """See `Trim`."""
        if not self._cut.magnitude:
            return change_N  # what is cut is zero already
        if self._cut.equal == self._cut.of_equal:
            return F.hardshrink(change_N, self._just_below)
        if not self._left:
            return F.hardshrink(change_N, self._cut.magnitude)
        equal = (change_N.abs() == self._cut.magnitude).nonzero().squeeze(1)
        change_N[equal[self._left :]] = 0
        self._left -= min(self._left, len(equal))
        return F.hardshrink(change_N, self._just_below)


def agreed(changes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The mean (N,) of the changes that have the elected sign; 0 where there is none.

    Overwrites the changes.
    """
    up_N, down_N, up_weight_N, down_weight_N = torch.zeros((4, *changes[0].shape)).to(changes[0])
    for change_N, weight in zip(changes, weights, strict=True):
        rise_N = change_N.clamp(min=0)
        fall_N = change_N.sub_(rise_N)
        up_weight_N.add_(rise_N.sign(), alpha=weight)
        down_weight_N.sub_(fall_N.sign(), alpha=weight)
        up_N.add_(rise_N.mul_(weight))
        down_N.add_(fall_N.mul_(weight))
    return torch.where(
        up_N >= down_N.neg(), _quotient(up_N, up_weight_N), _quotient(down_N, down_weight_N)
    )


def _quotient(sum_N: Tensor, weight_N: Tensor) -> Tensor:
    """Where no model has that sign, the sum is 0, and stays so."""
    return sum_N.div_(weight_N.add_(weight_N == 0))
