"""From noise to samples: the flow's ordinary differential equation, backwards in time."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_t (B, ...), times (B,)) to d x / d t, shaped like x_t."""


def integrate(
    velocity: Velocity, noise_BD: Tensor, steps: int, method: Literal["Euler", "Heun"]
) -> Tensor:
    """Follow `velocity` from t = 1 (noise) to t = 0 (samples) in equal steps.

    Args:
        velocity: the field to follow.
        noise_BD: where to begin, standard normal; the only randomness of the sampler.
        steps: Euler evaluates `velocity` once a step, Heun twice (Karras et al., 2206.00364,
            algorithm 1).
        method: first or second order.
    """
    x_BD, step = noise_BD, 1.0 / steps

    def at(index: int) -> Tensor:
        time = torch.tensor(1.0 - index / steps, dtype=noise_BD.dtype)
        return time.expand(len(noise_BD))

    for i in range(steps):
        slope = velocity(x_BD, at(i))
        if method == "Heun":
            slope = (slope + velocity(x_BD - step * slope, at(i + 1))) / 2
        x_BD = x_BD - step * slope
    return x_BD
