"""How a method merges a tensor that does not fit into memory: piece by piece, more than once.

Pieces are numpy arrays: a merge of files starts at once, where importing torch takes seconds and
hundreds of megabytes. Shape suffixes: N elements of a piece, flattened.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
"""float32 or float64."""
Piece = Sequence[Numbers]
"""The same elements (N,) of each model, all of one type; the base first, where there is one. Whoever
is given a piece may overwrite it."""
Rule = Callable[[Piece], Numbers]
"""Merges a piece (N,); called once for each, in order."""


@dataclass(frozen=True)
class Whole:
    """One tensor of all models."""

    name: str
    count: int
    """Of its elements."""
    dtype: type[np.float32 | np.float64]
    """What it is merged in."""
    pieces: Callable[[], Iterator[Piece]]
    """Reads all of it, in order; may be called again."""


class Method(Protocol):
    """A way to merge. Safe to use from several threads."""

    def rule(self, whole: Whole) -> Rule:
        """Look at all of a tensor as often as is needed; the rule that merges its pieces."""
        ...


def merged(method: Method, name: str, tensors: Sequence[Numbers]) -> Numbers:
    """Merge arrays of one shape and type, float32 or float64, that are in memory."""

    def piece() -> Piece:
        return [tensor.reshape(-1).copy() for tensor in tensors]

    first = tensors[0]
    rule = method.rule(Whole(name, first.size, first.dtype.type, lambda: iter([piece()])))
    return rule(piece()).reshape(first.shape)


def changes(piece: Piece) -> list[Numbers]:
    """What each model changed (N,), where the base is the first; overwrites the models."""
    base_N, *models = piece
    for model_N in models:
        np.subtract(model_N, base_N, out=model_N)
    return models
