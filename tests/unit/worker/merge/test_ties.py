"""TIES, against a plain one that sorts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Whole
from atoll_worker.merge.ties import Ties, kept, ties


def plain(base: Tensor, tensors: list[Tensor], weights: list[float], density: float) -> Tensor:
    """As the paper says it, one element after the other."""
    trimmed = []
    for tensor in tensors:
        change = tensor.float() - base.float()
        order = torch.argsort(change.abs(), descending=True, stable=True)
        stays = torch.zeros(len(base), dtype=torch.bool)
        stays[order[: kept(len(base), density)]] = True
        trimmed.append((change * stays).double())
    result = base.double().clone()
    for i in range(len(base)):
        signed = sum(w * change[i] for w, change in zip(weights, trimmed, strict=True))
        sign = 1 if signed >= 0 else -1
        agree = [(w, c[i]) for w, c in zip(weights, trimmed, strict=True) if c[i] * sign > 0]
        if agree:
            result[i] += sum(w * c for w, c in agree) / sum(w for w, _ in agree)
    return result.float()


def models(count: int, seed: int, steps: int | None) -> tuple[Tensor, list[Tensor]]:
    """With `steps`, changes are multiples of 1 / steps, so that many are equal."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count + 1, 97, generator=generator)
    drawn = drawn if steps is None else (drawn * steps).round() / steps
    return drawn[0], list(drawn[1:])


@settings(deadline=None)
@given(
    seed=st.integers(0, 999),
    weights=st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0]), min_size=1, max_size=4),
    density=st.floats(0.01, 1),
    steps=st.none() | st.sampled_from([1, 4]),
)
def test_it_is_what_sorting_gives(
    seed: int, weights: list[float], density: float, steps: int | None
) -> None:
    base, tensors = models(len(weights), seed, steps)
    found = ties(base, tensors, weights, density)
    torch.testing.assert_close(found, plain(base, tensors, weights, density))


@settings(deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(0, 97), steps=st.none() | st.just(2))
def test_pieces_have_the_bits_of_the_whole(seed: int, cut: int, steps: int | None) -> None:
    base, tensors = models(3, seed, steps)
    halves = [[x[:cut] for x in (base, *tensors)], [x[cut:] for x in (base, *tensors)]]
    weights = [1.0, 2.0, 3.0]
    rule = Ties(weights, 0.3).rule(Whole("", 97, torch.float32, lambda: iter(halves)))
    found = torch.cat([rule(half) for half in halves])
    assert torch.equal(found, ties(base, tensors, weights, 0.3))


@settings(deadline=None)
@given(seed=st.integers(0, 999), density=st.floats(0.01, 1), steps=st.none() | st.just(1))
def test_exactly_so_many_changes_stay(seed: int, density: float, steps: int | None) -> None:
    base, (tensor,) = models(1, seed, steps)
    changed = int((tensor != base).sum())
    found = ties(base, [tensor], [1], density)
    assert int((found != base).sum()) == min(changed, kept(97, density))


def test_of_equal_changes_the_first_stay() -> None:
    found = ties(torch.zeros(4), [torch.tensor([1.0, -2.0, 2.0, 2.0])], [1], 0.5)
    assert found.tolist() == [0, -2, 2, 0]


def test_an_element_that_cancels_goes_up() -> None:
    found = ties(torch.ones(1), [torch.tensor([3.0]), torch.tensor([-1.0])], [1, 1], 1)
    assert found.tolist() == [3]


def test_a_model_of_no_weight_has_no_say() -> None:
    found = ties(torch.zeros(1), [torch.tensor([1.0]), torch.tensor([-9.0])], [1, 0], 1)
    assert found.tolist() == [1]


def test_float64_stays_and_what_is_empty_or_no_float_too() -> None:
    base = torch.zeros(3, dtype=torch.float64)
    change = torch.tensor([1e-20, 2e-20, 3.0], dtype=torch.float64)
    assert torch.equal(ties(base, [change], [1], 0.67), change * torch.tensor([0, 1, 1]))
    assert ties(torch.zeros(0, 4), [torch.zeros(0, 4)], [1], 0.5).shape == (0, 4)
    assert ties(torch.tensor(3), [torch.tensor(4)], [1], 0.5).item() == 3


@pytest.mark.parametrize("density", [0, -0.5, 1.1, float("nan")])
def test_a_density_that_keeps_nothing_or_too_much_is_refused(density: float) -> None:
    with pytest.raises(BadDataError, match="density"):
        ties(torch.zeros(1), [torch.zeros(1)], [1], density)
