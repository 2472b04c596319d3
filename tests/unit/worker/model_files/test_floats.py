"""Floats to bytes and back, against torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_worker.model_files.floats import is_finite, numbers, raw

TORCH = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
any_float = st.floats(width=32)


@pytest.mark.parametrize("dtype", TORCH)
@settings(deadline=None)
@given(values=st.lists(any_float, min_size=1, max_size=20))
def test_they_are_rounded_as_torch_rounds_them(dtype: str, values: list[float]) -> None:
    array = np.array(values, np.float32)
    expected = torch.tensor(values, dtype=torch.float32).to(TORCH[dtype])
    encoded = raw(array.copy(), dtype)
    torch.testing.assert_close(
        torch.from_numpy(encoded.copy()).view(TORCH[dtype]),
        expected,
        rtol=0,
        atol=0,
        equal_nan=True,
    )
    back = numbers(encoded, dtype, np.float64)
    np.testing.assert_array_equal(back, expected.double().numpy())


@settings(deadline=None)
@given(values=st.lists(any_float, max_size=20))
def test_one_that_is_not_finite_is_found(values: list[float]) -> None:
    array = np.array(values, np.float32)
    assert is_finite(array) == bool(np.isfinite(array).all())


def test_a_sum_that_overflows_is_no_infinity() -> None:
    assert is_finite(np.full(4, 3e38, np.float32))
