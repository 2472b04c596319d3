"""The k-th largest magnitude of numbers that do not fit into memory, exactly, without sorting.

The bits of a float that is not negative, read as an integer, are ordered as the floats are. So
counting numbers by their upper 16 bits finds where the k-th is, and counting those there by the
next bits finds it: two passes over float32, four over float64, 2^16 counters (a radix selection).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atoll_worker.merge.pieces import Numbers

_DIGIT_BITS: Final = 16


@dataclass(frozen=True)
class Cut:
    """Which of some magnitudes are the largest so and so many."""

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
    """It is the rank-th largest of its bracket; from 1."""
    bits: int
    """The bracket is of all numbers with the same bits above this many low ones, ..."""
    low: int = 0
    """... and these are they."""
    counted: int = 0
    """How many there are in the bracket."""


Passes = Callable[[], Iterator[Sequence[Numbers]]]
"""Reads all magnitudes (N,) of each of several models, in pieces; called once a pass."""


def cuts(passes: Passes, ranks: Sequence[int], dtype: type[np.float32 | np.float64]) -> list[Cut]:
    """Where to cut the magnitudes of each model so that its `rank` largest stay.

    Args:
        passes: Magnitudes, none negative, all of `dtype`; a NaN counts as the largest.
        ranks: How many of each model to keep, from 1 to as many as there are.
        dtype: float32 or float64.
    """
    integer = np.int32 if dtype is np.float32 else np.int64
    searches = [_Search(rank, integer().nbytes * 8 - 1) for rank in ranks]
    while searches and searches[0].bits:
        digit_bits = min(_DIGIT_BITS, searches[0].bits)
        counts = [np.zeros(2**digit_bits, np.int64) for _ in searches]
        for magnitudes in passes():
            for search, count, magnitude_N in zip(searches, counts, magnitudes, strict=True):
                count += _counted(magnitude_N.view(integer), search, digit_bits)  # noqa: PLW2901
        for search, count in zip(searches, counts, strict=True):
            _narrow(search, count, digit_bits)
    return [Cut(float(integer(it.low).view(dtype)), it.rank, it.counted) for it in searches]


def _counted(
    pattern_N: NDArray[np.int32 | np.int64], search: _Search, digit_bits: int
) -> NDArray[np.int64]:
    """How many numbers of the bracket there are of each digit."""
    if search.bits < np.iinfo(pattern_N.dtype).bits - 1:  # not all are in it any more
        above_N = pattern_N >> search.bits
        pattern_N = pattern_N[above_N == search.low >> search.bits]
    digit_N = pattern_N >> (search.bits - digit_bits)
    digit_N &= 2**digit_bits - 1
    return np.bincount(digit_N, minlength=2**digit_bits)


def _narrow(search: _Search, count: NDArray[np.int64], digit_bits: int) -> None:
    """Go on in the one digit that holds the rank-th largest of the bracket."""
    from_top = np.cumsum(count[::-1])
    down = int(np.searchsorted(from_top, search.rank))
    digit = len(count) - 1 - down
    search.counted = int(count[digit])
    search.rank -= int(from_top[down]) - search.counted
    search.bits -= digit_bits
    search.low += digit << search.bits
