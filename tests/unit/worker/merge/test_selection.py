"""The k-th largest, against sorting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_worker.merge.pieces import Numbers
from atoll_worker.merge.selection import cuts

numbers = st.floats(0, 3.0, width=32) | st.sampled_from([0.0, 1.0, 2.0**-140, 2.0**127])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(deadline=None)
@given(values=st.lists(numbers, min_size=1, max_size=60), data=st.data())
def test_the_cut_is_where_sorting_finds_it(
    dtype: type[np.float32 | np.float64], values: list[float], data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, len(values)))
    split = data.draw(st.integers(0, len(values)))
    whole: Numbers = np.array(values, dtype)
    halves: list[list[Numbers]] = [[x, x] for x in (whole[:split], whole[split:])]
    cut, all_of_it = cuts(lambda: iter(halves), [rank, len(values)], dtype)
    ordered = sorted(whole.tolist(), reverse=True)
    larger = sum(value > cut.magnitude for value in ordered)
    assert cut.magnitude == ordered[rank - 1]
    assert cut.equal == rank - larger
    assert cut.of_equal == ordered.count(cut.magnitude)
    assert all_of_it.magnitude == ordered[-1]
