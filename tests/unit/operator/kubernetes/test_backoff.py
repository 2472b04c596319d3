"""How long until the next attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_operator.errors import ConflictError, TooManyRequestsError
from atoll_operator.kubernetes.backoff import Backoff

BACKOFF = Backoff(first_seconds=1.0, max_seconds=10.0, jitter=0.5)


@pytest.mark.parametrize(("failures", "expected"), [(0, 1), (1, 1), (2, 2), (4, 8), (5, 10)])
def test_it_doubles_up_to_a_limit(failures: int, expected: float) -> None:
    assert BACKOFF.seconds(failures, 0.0) == expected


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_it_stays_within_its_bounds(failures: int, chance: float) -> None:
    assert 1.0 <= BACKOFF.seconds(failures, chance) <= 15.0


def test_the_server_may_ask_for_more_patience_but_not_for_less() -> None:
    patient = TooManyRequestsError("later", retry_after_seconds=30)
    hasty = TooManyRequestsError("later", retry_after_seconds=0.1)
    assert BACKOFF.seconds_after(patient, 1, 0.0) == 30
    assert BACKOFF.seconds_after(hasty, 1, 0.0) == 1
    assert BACKOFF.seconds_after(ConflictError("changed"), 2, 0.0) == 2
    assert BACKOFF.seconds_after(ValueError(), 2, 0.0) == 2
