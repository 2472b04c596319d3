"""The k-th largest magnitude of numbers that do not fit into memory, exactly, without sorting.

The bits of a float that is not negative, read as an integer, are ordered as the floats are. So
counting them by their upper 16 bits finds where the k-th is, counting those by the next 16 finds
it exactly: two passes over float32, four over float64, and 2^16 counters (a radix selection).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

_DIGIT_BITS: Final = 16
_INTEGERS: Final = {torch.float32: torch.int32, torch.float64: torch.int64}
_BITS: Final = {torch.float32: 31, torch.float64: 63}


@dataclass(frozen=True)
class Cut:
    """Which of some magnitudes are the `kept` largest."""

    magnitude: float
    """The smallest that is kept: all larger ones are."""
    equal: int
    """How many of exactly that magnitude are kept, ..."""
    of_equal: int
    """... and how many there are."""


@dataclass
class _Search:
    """What is known so far of where the k-th largest is."""

    rank: int
    """Of those at or below the top of the bracket, it is the rank-th largest; from 1."""
    bits: int
    """The bracket is of this many low bits, ..."""
    low: int = 0
    """... and begins here."""
    equal: int = 0
    """How many there are in the bracket."""


Passes = Callable[[], Iterator[list[Tensor]]]
"""Reads all magnitudes (N,) of each of several models, in pieces; called once a pass."""


def cuts(passes: Passes, ranks: list[int], dtype: torch.dtype) -> list[Cut]:
    """Where to cut the magnitudes of each model so that its `rank` largest stay.

    Args:
        passes: Magnitudes, none negative, all of `dtype`; a NaN counts as the largest. They may be
            overwritten here.
        ranks: How many of each model to keep, from 1 to as many as there are.
        dtype: float32 or float64.
    """
    searches = [_Search(rank, _BITS[dtype]) for rank in ranks]
    while searches and searches[0].bits:
        digit_bits = min(_DIGIT_BITS, searches[0].bits)
        counts = [torch.zeros(2**digit_bits + 2, dtype=torch.int64) for _ in searches]
        for pieces in passes():
            for search, count, magnitude_N in zip(searches, counts, pieces, strict=True):
                pattern_N = magnitude_N.view(_INTEGERS[dtype])
                count += _counted(pattern_N, search, digit_bits)  # noqa: PLW2901 - in place
        for search, count in zip(searches, counts, strict=True):
            _narrow(search, count[1:-1], digit_bits)
    return [Cut(_float(it.low, dtype), it.rank, it.equal) for it in searches]


def _counted(pattern_N: Tensor, search: _Search, digit_bits: int) -> Tensor:
    """How many there are of each digit; below the bracket first, above it last."""
    shift = search.bits - digit_bits
    digit_N = pattern_N.sub_(search.low).bitwise_right_shift_(shift)
    bins = 2**digit_bits
    return torch.bincount(digit_N.clamp_(-1, bins).add_(1), minlength=bins + 2)


def _narrow(search: _Search, count: Tensor, digit_bits: int) -> None:
    """Go on in the one bin that holds the rank-th largest of the bracket."""
    from_top = count.flip(0).cumsum(0)
    down = int(torch.searchsorted(from_top, search.rank))
    digit = len(count) - 1 - down
    search.equal = int(count[digit])
    search.rank -= int(from_top[down]) - search.equal
    search.bits -= digit_bits
    search.low += digit << search.bits


def _float(pattern: int, dtype: torch.dtype) -> float:
    return float(torch.tensor(pattern, dtype=_INTEGERS[dtype]).view(dtype))
