"""Noise paths against their definition."""

import math

import pytest
import torch

from atoll_worker.tasks.diffusion import path

PATHS = (path.Linear(), path.Cosine())


@pytest.mark.parametrize("each", PATHS)
def test_a_path_begins_at_the_sample_and_ends_in_noise(each: path.Path) -> None:
    a, s = each.coefficients(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(a, torch.tensor([1.0, 0.0], dtype=torch.float64), atol=1e-12)
    assert torch.allclose(s, torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("each", PATHS)
def test_the_velocity_is_the_derivative_of_the_noisy_sample(each: path.Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 7, 1, 3, 3, dtype=torch.float64, generator=generator)
    time, step = torch.linspace(0.05, 0.95, 7, dtype=torch.float64), 1e-6
    after, _ = path.noisy(each, x, noise, time + step)
    before, _ = path.noisy(each, x, noise, time - step)
    _, velocity = path.noisy(each, x, noise, time)
    assert torch.allclose((after - before) / (2 * step), velocity, atol=1e-8)


def test_the_cosine_path_keeps_the_variance_of_unit_variance_data() -> None:
    a, s = path.Cosine().coefficients(torch.linspace(0, 1, 11))
    assert torch.allclose(a**2 + s**2, torch.ones(11))


def test_the_spec_names_the_paths() -> None:
    assert path.named("Linear") == path.Linear()
    assert path.named("Cosine") == path.Cosine()
    assert math.isclose(
        float(path.Cosine().derivatives(torch.tensor(0.0))[1]), math.pi / 2, rel_tol=1e-6
    )
