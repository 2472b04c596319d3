"""Quantities."""

from decimal import Decimal

import pytest

from atoll_api.units import amount


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", "0"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        ("2k", "2000"),
        ("1.5Gi", str(1536 * 2**20)),
        ("3M", "3000000"),
        ("1Ei", str(2**60)),
        ("1E", str(10**18)),
    ],
)
def test_amounts(quantity: str, expected: str) -> None:
    assert amount(quantity) == Decimal(expected)
