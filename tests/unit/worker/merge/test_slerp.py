"""Slerp keeps lengths, ends where it should, and is a line where there is no arc."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_worker.errors import BadDataError
from atoll_worker.merge.slerp import slerp


@settings(deadline=None)
@given(t=st.floats(0, 1), seed=st.integers(0, 99))
def test_between_tensors_of_one_length_all_have_that_length(t: float, seed: int) -> None:
    drawn = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(seed))
    a, b = (x / x.norm() for x in drawn)
    assert float(slerp(a, b, t).norm()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(slerp(a, b, t), slerp(b, a, 1 - t))


def test_it_goes_along_the_arc() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    for t in (0, 1 / 3, 0.5, 1):
        expected = torch.tensor([math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)])
        torch.testing.assert_close(slerp(a, b, t), expected)


@pytest.mark.parametrize(
    ("a", "b"),
    [([1.0, 0.0], [2.0, 1e-4]), ([0.0, 0.0], [3.0, 1.0]), ([1.0, 1.0], [-1.0, -1.0])],
    ids=["parallel", "zero", "opposite"],
)
def test_where_there_is_no_arc_it_is_a_line(a: list[float], b: list[float]) -> None:
    first, second = torch.tensor(a), torch.tensor(b)
    torch.testing.assert_close(slerp(first, second, 0.25), 0.75 * first + 0.25 * second)


def test_type_and_shape_are_those_of_the_first() -> None:
    found = slerp(torch.ones(2, 3, dtype=torch.bfloat16), torch.randn(2, 3), 0.5)
    assert found.dtype == torch.bfloat16
    assert found.shape == (2, 3)


@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan])
def test_a_place_outside_is_refused(t: float) -> None:
    with pytest.raises(BadDataError, match="t "):
        slerp(torch.ones(1), torch.ones(1), t)
