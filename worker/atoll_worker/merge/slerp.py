"""Spherical interpolation of two models, tensor by tensor: along the arc, so length does not sag.

Shoemake, "Animating rotation with quaternion curves" (SIGGRAPH 1985), with tensors as vectors:
sin((1 - t) a) / sin(a) x_0 + sin(t a) / sin(a) x_1, where a is the angle between x_0 and x_1.
Where abs(cos a) > 0.9995 the arc is nearly a line, and where one of them is zero there is none:
linear interpolation. To flatten a tensor into one vector is a convention without a theory.
"""

import math
from typing import Final

import numpy as np

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Numbers, Piece, Rule, Whole

STRAIGHT: Final = 0.9995
"""Of abs(cos): beyond it the sines are too small to divide by."""


class Slerp:
    """Slerp of two models. Reads them twice."""

    def __init__(self, t: float) -> None:
        """Take a place on the arc.

        Args:
            t: From 0, the first model, to 1, the second.

        Raises:
            BadDataError: it is not between them.
        """
        if not 0 <= t <= 1:  # NaN is not either
            raise BadDataError(f"t {t:g}: from 0, the first model, to 1, the second")
        self._t = t

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        dot, first_square, second_square = 0.0, 0.0, 0.0
        for piece in whole.pieces():
            a_N, b_N = (array_N.astype(np.float64) for array_N in piece)
            dot += float((a_N * b_N).sum())
            first_square += float((a_N * a_N).sum())
            second_square += float((b_N * b_N).sum())
        ours, theirs = shares(dot, math.sqrt(first_square) * math.sqrt(second_square), self._t)

        def between(piece: Piece) -> Numbers:
            first_N, second_N = piece
            first_N *= ours
            second_N *= theirs
            first_N += second_N
            return first_N

        return between


def shares(dot: float, lengths: float, t: float) -> tuple[float, float]:
    """How much of each of two vectors is in the one at `t`.

    Args:
        dot: Their product.
        lengths: The product of their lengths.
        t: The place on the arc.
    """
    cosine = dot / lengths if lengths else 1.0
    if not abs(cosine) <= STRAIGHT:  # nor where NaN is merged
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
