"""How a method merges a tensor that does not fit into memory: piece by piece, more than once.

Shape suffixes: N elements of a piece, flattened.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Piece = Sequence[Tensor]
"""The same elements (N,) of each model, each in its own type; the base first, where there is one.
Good until the next piece is asked for."""
Rule = Callable[[Piece], Tensor]
"""Merges a piece (N,), not rounded yet; called once for each, in order."""


@dataclass(frozen=True)
class Whole:
    """One tensor of all models."""

    name: str
    count: int
    """Of its elements."""
    dtype: torch.dtype
    """What it is merged in."""
    pieces: Callable[[], Iterator[Piece]]
    """Reads all of it, in order; may be called again."""


def working_dtype(first: torch.dtype) -> torch.dtype:
    """What tensors are merged in, by the type of the first: float32, or float64 for float64."""
    return torch.float64 if first == torch.float64 else torch.float32


class Method(Protocol):
    """A way to merge. Safe to use from several threads."""

    def rule(self, whole: Whole) -> Rule:
        """Look at all of a tensor as often as is needed; the rule that merges its pieces."""
        ...


def merged(method: Method, name: str, tensors: Sequence[Tensor]) -> Tensor:
    """Merge a tensor that is in memory; of the shape and type of the first."""
    first = tensors[0]
    if not first.is_floating_point():
        return first.clone()
    piece = [tensor.reshape(-1) for tensor in tensors]
    dtype = working_dtype(first.dtype)
    rule = method.rule(Whole(name, first.numel(), dtype, lambda: iter([piece])))
    return rule(piece).to(first.dtype).reshape(first.shape)


def changes_of(piece: Piece, dtype: torch.dtype) -> Iterator[Tensor]:
    """What each model changed (N,), one after the other, where the base is the first."""
    base_N = piece[0].to(dtype)
    return (tensor_N.to(dtype, copy=True).sub_(base_N) for tensor_N in piece[1:])
