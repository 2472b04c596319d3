"""Correlations of two sets of features, summed up batch by batch."""

import torch
from torch import Tensor

_NO_SPREAD = 1e-12
"""A variance below this share of the squared mean is rounding: the unit is constant."""


class CrossMoments:
    """Sums that give the correlation of every feature of one network with every one of another.

    Batches may come in any number and size. Features are shifted by the mean of the first batch
    before they are multiplied: then float32 products, summed in float64, are as good as float64
    throughout, also where a mean is a thousand deviations large.
    """

    def __init__(self) -> None:
        self._shifts: tuple[Tensor, Tensor] | None = None
        self._count = 0
        self._sums: list[Tensor] = []

    def add(self, x_NF: Tensor, y_NF: Tensor) -> None:
        """Count rows in: row i of both belongs to the same input."""
        if self._shifts is None:
            self._shifts = x_NF.mean(dim=0), y_NF.mean(dim=0)
        x_NF, y_NF = x_NF - self._shifts[0], y_NF - self._shifts[1]
        sums = [
            x_NF.sum(dim=0),
            y_NF.sum(dim=0),
            x_NF.square().sum(dim=0),
            y_NF.square().sum(dim=0),
            x_NF.T @ y_NF,
        ]
        self._count += len(x_NF)
        if not self._sums:
            self._sums = [total.to(torch.float64) for total in sums]
            return
        for before, total in zip(self._sums, sums, strict=True):
            before.add_(total)

    def correlation(self) -> Tensor:
        """Pearson correlations (F, F) in float64; zero where a feature is constant."""
        assert self._shifts is not None, "nothing was counted in"
        x_F, y_F, xx_F, yy_F, xy_FF = (total / self._count for total in self._sums)
        scale_x_F = _inverse_deviation(xx_F - x_F.square(), self._shifts[0])
        scale_y_F = _inverse_deviation(yy_F - y_F.square(), self._shifts[1])
        covariance_FF = xy_FF.addr_(x_F, y_F, alpha=-1)  # in place: it is the one large thing
        return covariance_FF.mul_(scale_x_F[:, None]).mul_(scale_y_F)


def _inverse_deviation(variance_F: Tensor, shift_F: Tensor) -> Tensor:
    floor_F = _NO_SPREAD * shift_F.to(torch.float64).square() + torch.finfo(torch.float32).tiny
    return torch.where(variance_F > floor_F, variance_F.clamp_min(floor_F).rsqrt(), 0.0)
