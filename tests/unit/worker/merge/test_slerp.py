"""Slerp keeps lengths, ends where it should, and is a line where there is no arc."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Numbers, merged
from atoll_worker.merge.slerp import Slerp


def slerp(a: Numbers, b: Numbers, t: float) -> Numbers:
    return merged(Slerp(t), "w", [a, b])


@settings(deadline=None)
@given(t=st.floats(0, 1), seed=st.integers(0, 99))
def test_between_tensors_of_one_length_all_have_that_length(t: float, seed: int) -> None:
    drawn = np.random.default_rng(seed).normal(size=(2, 8, 16)).astype(np.float32)
    a, b = (x / np.linalg.norm(x) for x in drawn)
    found = slerp(a, b, t)
    assert found.shape == (8, 16)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found, slerp(b, a, 1 - t), atol=1e-5)


def test_it_goes_along_the_arc() -> None:
    for t in (0, 1 / 3, 0.5, 1):
        found = slerp(np.array([1.0, 0]), np.array([0, 1.0]), t)
        angle = t * math.pi / 2
        np.testing.assert_allclose(found, [math.cos(angle), math.sin(angle)], atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"),
    [([1.0, 0.0], [2.0, 1e-4]), ([0.0, 0.0], [3.0, 1.0]), ([1.0, 1.0], [-1.0, -1.0])],
    ids=["parallel", "zero", "opposite"],
)
def test_where_there_is_no_arc_it_is_a_line(a: list[float], b: list[float]) -> None:
    first, second = np.array(a), np.array(b)
    np.testing.assert_allclose(slerp(first, second, 0.25), 0.75 * first + 0.25 * second)


@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan])
def test_a_place_outside_is_refused(t: float) -> None:
    with pytest.raises(BadDataError, match="t "):
        Slerp(t)
