"""When a retry comes, and when patience ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_worker.exchange.connection import backoff_seconds


def test_the_pause_doubles_to_a_limit() -> None:
    pauses = [backoff_seconds(failures, jitter=1.0) for failures in (1, 2, 3, 6, 1000)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 2.0, 2.0])


@given(st.integers(1, 10_000), st.floats(0.0, 1.0, exclude_max=True))
def test_jitter_spreads_over_half_of_the_pause(failures: int, jitter: float) -> None:
    longest = backoff_seconds(failures, 1.0)
    assert longest / 2 <= backoff_seconds(failures, jitter) <= longest
