"""How many cores a run may use."""

import math

import pytest

from atoll_operator.local.cores import quota_cores, usable_cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", math.inf), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("", math.inf)],
)
def test_a_quota_is_read_in_cores(text: str, cores: float) -> None:
    assert quota_cores(text) == cores


def test_there_is_always_one() -> None:
    assert usable_cores() >= 1
