"""Which of the drawn fault plans are run: `--fault-seed`, `--fault-plans`, or a few."""

from collections.abc import Sequence

import pytest


def chosen(config: pytest.Config, seeds: Sequence[int], short: Sequence[int]) -> list[int]:
    """The one asked for, which may lie beyond `seeds`; those below the count asked for; `short`."""
    one: int | None = config.getoption("fault_seed")
    count: int | None = config.getoption("fault_plans")
    if one is not None:
        return [one]
    return list(short) if count is None else [it for it in seeds if it < count]
