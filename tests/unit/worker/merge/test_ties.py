"""TIES, against a plain one that sorts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Numbers, Whole, merged
from atoll_worker.merge.ties import Ties, kept

Models = list[NDArray[np.float32]]
"""The base, and the models."""
SIZE = 97


def plain(models: Models, weights: list[float], density: float) -> NDArray[np.float64]:
    """As the paper says it, one element after the other."""
    base, *rest = models
    trimmed = []
    for model in rest:
        change = model - base
        order = np.argsort(-np.abs(change), stable=True)
        stays = np.zeros(len(base), bool)
        stays[order[: kept(len(base), density)]] = True
        trimmed.append((change * stays).astype(np.float64))
    result = base.astype(np.float64)
    for i in range(len(base)):
        signed = sum(w * change[i] for w, change in zip(weights, trimmed, strict=True))
        sign = 1 if signed >= 0 else -1
        agree = [(w, c[i]) for w, c in zip(weights, trimmed, strict=True) if c[i] * sign > 0]
        if agree:
            result[i] += sum(w * c for w, c in agree) / sum(w for w, _ in agree)
    return result


def drawn(count: int, seed: int, steps: int | None) -> Models:
    """With `steps`, numbers are multiples of 1 / steps, so that many changes are equal."""
    numbers = np.random.default_rng(seed).normal(size=(count + 1, SIZE)).astype(np.float32)
    return list(numbers if steps is None else (numbers * steps).round() / steps)


def ties(models: Models, weights: list[float], density: float) -> Numbers:
    return merged(Ties(weights, density), "w", models)


def array(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


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
    models = drawn(len(weights), seed, steps)
    expected = plain(models, weights, density)
    np.testing.assert_allclose(ties(models, weights, density), expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(0, SIZE), steps=st.none() | st.just(2))
def test_pieces_have_the_bits_of_the_whole(seed: int, cut: int, steps: int | None) -> None:
    models = drawn(3, seed, steps)

    def halves() -> list[Models]:
        return [[x[:cut].copy() for x in models], [x[cut:].copy() for x in models]]

    weights = [1.0, 2.0, 3.0]
    rule = Ties(weights, 0.3).rule(Whole("w", SIZE, np.float32, lambda: iter(halves())))
    found = np.concatenate([rule(half) for half in halves()])
    assert found.tobytes() == ties(models, weights, 0.3).tobytes()


@settings(deadline=None)
@given(seed=st.integers(0, 999), density=st.floats(0.01, 1), steps=st.none() | st.just(1))
def test_exactly_so_many_changes_stay(seed: int, density: float, steps: int | None) -> None:
    models = drawn(1, seed, steps)
    models[0] = np.zeros_like(models[0])
    found = np.count_nonzero(ties(models, [1], density))
    assert found == min(np.count_nonzero(models[1]), kept(SIZE, density))


def test_of_equal_changes_the_first_stay() -> None:
    found = ties([array(0, 0, 0, 0), array(1, -2, 2, 2)], [1], 0.5)
    assert found.tolist() == [0, -2, 2, 0]


def test_what_cancels_goes_up() -> None:
    assert ties([array(1), array(3), array(-1)], [1, 1], 1).tolist() == [3]


def test_a_model_of_no_weight_has_no_say() -> None:
    assert ties([array(0), array(1), array(-9)], [1, 0], 1).tolist() == [1]


def test_float64_stays_float64_and_nothing_stays_nothing() -> None:
    change = np.array([1e-20, 2e-20, 3.0])
    found = merged(Ties([1], 0.67), "w", [np.zeros(3), change])
    assert found.tolist() == [0, 2e-20, 3]
    empty = np.zeros((0, 4), np.float32)
    assert merged(Ties([1], 0.5), "w", [empty, empty]).shape == (0, 4)


@pytest.mark.parametrize("density", [0, -0.5, 1.1, float("nan")])
def test_a_density_that_keeps_nothing_or_too_much_is_refused(density: float) -> None:
    with pytest.raises(BadDataError, match="density"):
        Ties([1], density)
