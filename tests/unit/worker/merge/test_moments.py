"""Correlations: exact for any cut into batches, and where means are large."""

import numpy as np
import pytest
import torch
from torch import Tensor

from atoll_worker.merge.moments import CrossMoments


def features(seed: int = 0, count: int = 2000) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=generator)
    return x, x.flip(1) + 0.5 * torch.randn(count, 4, generator=generator)


def exact(x: Tensor, y: Tensor) -> Tensor:
    joint = np.corrcoef(np.hstack([x.double().numpy(), y.double().numpy()]), rowvar=False)
    return torch.from_numpy(joint[:4, 4:])


@pytest.mark.parametrize("size", [1, 7, 2000])
def test_batches_add_up(size: int) -> None:
    x, y = features()
    moments = CrossMoments()
    for x_part, y_part in zip(torch.split(x, size), torch.split(y, size), strict=True):
        moments.add(x_part, y_part)
    assert torch.allclose(moments.correlation(), exact(x, y), atol=1e-5)


def test_large_means_cost_no_precision() -> None:
    x, y = features(count=20_000)
    x, y = 100 + 0.05 * x, 50 - 0.05 * y
    moments = CrossMoments()
    for x_part, y_part in zip(torch.split(x, 512), torch.split(y, 512), strict=True):
        moments.add(x_part, y_part)
    assert torch.allclose(moments.correlation(), exact(x, y), atol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
def test_a_constant_unit_goes_with_nothing(constant: float) -> None:
    x, y = features()
    x[:, 1] = constant
    y[:, 2] = constant
    moments = CrossMoments()
    moments.add(x, y)
    correlation = moments.correlation()
    assert correlation.isfinite().all()
    assert correlation[1].abs().max() == 0
    assert correlation[:, 2].abs().max() == 0
    assert correlation[0, 3] > 0.8
