"""What may weigh a model in a merge. Weights need not sum to 1: they are normalised."""

import math
from collections.abc import Sequence
from typing import Final

from atoll_worker.errors import BadDataError

LARGEST: Final = 2.0**64
"""Weights of another order of magnitude would overflow float32, or vanish in it."""


def check_weight(weight: float) -> None:
    """Refuse what is no weight.

    Raises:
        BadDataError: it is negative, not finite, or so large or small that float32 loses it.
    """
    if not math.isfinite(weight) or weight < 0:
        raise BadDataError(f"weight {weight:g}: a weight is finite and not negative")
    if weight and not 1 / LARGEST <= weight <= LARGEST:
        raise BadDataError(
            f"weight {weight:g}: a weight is 0, or from {1 / LARGEST:.0e} to {LARGEST:.0e}: "
            "scale them all"
        )


def check_weights(weights: Sequence[float], count: int) -> None:
    """Refuse weights by which `count` models cannot be merged.

    Raises:
        BadDataError: they are not as many as models, all zero, or one is none (`check_weight`).
    """
    if len(weights) != count:
        raise BadDataError(f"{len(weights)} weights for {count} models: give one for each")
    for weight in weights:
        check_weight(weight)
    if not total_of(weights):
        raise BadDataError("all weights are 0: at least one model must count")


def total_of(weights: Sequence[float]) -> float:
    """What a weighted sum is divided by: exact but for one rounding, in every release of Python."""
    return math.fsum(weights)
