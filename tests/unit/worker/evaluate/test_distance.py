"""Distances of distributions against their closed forms."""

import pytest
import torch

from atoll_worker.evaluate import distance
from atoll_worker.evaluate.distance import Gaussian


def gaussian(mean: list[float], deviations: list[float]) -> Gaussian:
    variance = torch.tensor(deviations, dtype=torch.float64).square()
    return Gaussian(torch.tensor(mean, dtype=torch.float64), torch.diag(variance))


def test_frechet_of_axis_aligned_gaussians_is_the_textbook_formula() -> None:
    a, b = gaussian([0, 1], [1, 2]), gaussian([3, 1], [2, 5])
    assert distance.frechet(a, b) == pytest.approx(9 + 1 + 9)


def test_frechet_does_not_depend_on_order_or_on_rotation() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 500, 4, dtype=torch.float64, generator=generator)
    y = y @ torch.randn(4, 4, dtype=torch.float64, generator=generator) + 1
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=generator)).Q
    plain = distance.frechet(distance.fit(x), distance.fit(y))
    assert plain > 1
    assert distance.frechet(distance.fit(y), distance.fit(x)) == pytest.approx(plain)
    assert distance.frechet(distance.fit(x @ turn), distance.fit(y @ turn)) == pytest.approx(plain)


def test_frechet_to_itself_is_zero_even_with_a_flat_direction() -> None:
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    x[:, 2] = x[:, 0]
    assert distance.frechet(distance.fit(x), distance.fit(x)) == pytest.approx(0, abs=1e-9)


def test_total_variation_goes_from_the_same_to_disjoint() -> None:
    p = distance.shares(torch.tensor([0, 0, 1, 2]), 4)
    assert p.tolist() == [0.5, 0.25, 0.25, 0]
    assert distance.total_variation(p, p) == 0
    assert distance.total_variation(p, distance.shares(torch.tensor([3]), 4)) == 1


def test_correlation_ignores_scale_and_offset() -> None:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert distance.correlation(x, 3 * x + 1) == pytest.approx(1)
    assert distance.correlation(x, -x) == pytest.approx(-1)
    assert distance.correlation(x, torch.ones_like(x)) == 0


def test_nearest_finds_the_sample_and_how_far_it_is() -> None:
    reference = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    found, index = distance.nearest(
        torch.tensor([[9.0, 0.0], [0.0, 13.0], [0.0, 0.0]]), reference, 2
    )
    assert index.tolist() == [1, 2, 0]
    assert found.tolist() == pytest.approx([1, 3, 0])
