"""Noise paths: how a sample becomes noise, and the velocity along the way.

x_t = a(t) x_0 + s(t) eps with t = 0 the data and t = 1 pure noise; the velocity that a model
learns is d x_t / d t = a'(t) x_0 + s'(t) eps (Lipman et al., arXiv 2210.02747, section 4).
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor


class Path(Protocol):
    """The two coefficients of a path and their derivatives, each a function of t."""

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(a, s) at `time` in [0, 1], shaped like `time`."""
        ...

    def derivatives(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(a', s') at `time` in [0, 1], shaped like `time`."""
        ...


@dataclass(frozen=True)
class Linear:
    """a = 1 - t, s = t: straight lines (rectified flow, Liu et al., arXiv 2209.03003)."""

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(1 - t, t)."""
        return 1.0 - time, time

    def derivatives(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(-1, 1)."""
        one = torch.ones_like(time)
        return -one, one


@dataclass(frozen=True)
class Cosine:
    """a = cos(pi t / 2), s = sin(pi t / 2): keeps the variance of unit-variance data."""

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(cos, sin) of pi t / 2."""
        angle = time * (math.pi / 2)
        return torch.cos(angle), torch.sin(angle)

    def derivatives(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(-sin, cos) of pi t / 2, times pi / 2."""
        half_pi = math.pi / 2
        angle = time * half_pi
        return -half_pi * torch.sin(angle), half_pi * torch.cos(angle)


def named(path: Literal["Linear", "Cosine"]) -> Path:
    """The path of `spec.task.diffusion.path`."""
    return Linear() if path == "Linear" else Cosine()


def noisy(path: Path, x_BD: Tensor, noise_BD: Tensor, time_B: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, velocity), both shaped like `x_BD`, for samples (B, ...) at times (B,)."""
    time = time_B.reshape(-1, *[1] * (x_BD.dim() - 1))
    a, s = path.coefficients(time)
    da, ds = path.derivatives(time)
    return a * x_BD + s * noise_BD, da * x_BD + ds * noise_BD
