"""Spherical interpolation of two models, tensor by tensor: along the arc, so length does not sag.

Shoemake, "Animating rotation with quaternion curves" (SIGGRAPH 1985), with tensors as vectors:
sin((1 - t) a) / sin(a) x_0 + sin(t a) / sin(a) x_1, where a is the angle between x_0 and x_1.
Where abs(cos a) > 0.9995 the arc is nearly a line, and where one of them is zero there is none:
linear interpolation. To flatten a tensor into one vector is a convention without a theory.
"""

import math
from typing import Final

import torch
from torch import Tensor

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Piece, Rule, Whole, merged

STRAIGHT: Final = 0.9995
"""Of abs(cos): beyond it the sines are too small to divide by."""


def check_place(t: float) -> None:
    """Refuse a place that is not between the models.

    Raises:
        BadDataError: `t` is not within [0, 1].
    """
    if not 0 <= t <= 1:  # NaN is not either
        raise BadDataError(f"t {t:g}: from 0, the first model, to 1, the second")


def slerp(first: Tensor, second: Tensor, t: float) -> Tensor:
    """The tensor at `t` on the arc from the first (0) to the second (1), in the first's type.

    Raises:
        BadDataError: see `check_place`.
    """
    return merged(Slerp(t), "", [first, second])


def shares(dot: float, squares: tuple[float, float], t: float) -> tuple[float, float]:
    """How much of each of two vectors is in the one at `t`, from their products.

    Args:
        dot: Of the two vectors.
        squares: Of their lengths.
        t: The place on the arc.
    """
    lengths = math.sqrt(squares[0]) * math.sqrt(squares[1])
    cosine = dot / lengths if lengths else 1.0
    if not abs(cosine) <= STRAIGHT:
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


class Slerp:
    """Slerp for two models that are read in pieces, twice."""

    def __init__(self, t: float) -> None:
        check_place(t)
        self._t = t

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        dot, squares = 0.0, (0.0, 0.0)
        for first_N, second_N in whole.pieces():
            a_N, b_N = first_N.to(torch.float64), second_N.to(torch.float64)
            dot += float(a_N @ b_N)
            squares = (squares[0] + float(a_N @ a_N), squares[1] + float(b_N @ b_N))
        ours, theirs = shares(dot, squares, self._t)

        def between(piece: Piece) -> Tensor:
            first_N, second_N = piece
            theirs_N = second_N.to(whole.dtype, copy=True).mul_(theirs)
            return first_N.to(whole.dtype, copy=True).mul_(ours).add_(theirs_N)

        return between
