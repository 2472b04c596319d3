"""The best assignment is found, also where only whole groups of units may change places."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atoll_worker.merge.assignment import assign


def total(similarity_UU: Tensor, order_U: Tensor) -> float:
    return float(similarity_UU[torch.arange(len(order_U)), order_U].sum())


def allowed(clusters: int, size: int) -> list[Tensor]:
    """Every permutation that keeps clusters together."""
    inside = list(itertools.permutations(range(size)))
    return [
        torch.tensor(
            [at * size + unit for at, inner in zip(outer, chosen, strict=True) for unit in inner]
        )
        for outer in itertools.permutations(range(clusters))
        for chosen in itertools.product(inside, repeat=clusters)
    ]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from([(1, 4), (2, 2), (3, 2), (2, 3), (4, 1)]))
def test_no_allowed_permutation_has_a_greater_sum(seed: int, shape: tuple[int, int]) -> None:
    clusters, size = shape
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randn(clusters * size, clusters * size, generator=generator)
    best = max(total(similarity, order) for order in allowed(clusters, size))
    assert total(similarity, assign(similarity, clusters)) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("clusters", [1, 4])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e6])
def test_units_that_are_all_alike_stay(clusters: int, value: float) -> None:
    assert assign(torch.full((8, 8), value), clusters).tolist() == list(range(8))


def test_dead_units_do_not_disturb_the_others() -> None:
    similarity = torch.zeros(5, 5)
    similarity[0, 3] = similarity[3, 0] = 0.9
    assert assign(similarity).tolist() == [3, 1, 2, 0, 4]
