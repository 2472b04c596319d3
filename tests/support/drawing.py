"""Values of hypothesis' strategies as functions of a Random, one at a time."""

from collections.abc import Callable
from random import Random
from typing import Final, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
_BYTES: Final = 8192
"""Of chance for one value; one that needs more is drawn again."""


def drawing(strategy: SearchStrategy[T]) -> Callable[[Random], T]:
    """Draws from a strategy; nothing is shrunk or remembered."""
    found: list[T] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def keep(value: T) -> None:
        found.append(value)

    def draw(random: Random) -> T:
        while not found:
            keep.hypothesis.fuzz_one_input(random.randbytes(_BYTES))  # type: ignore[attr-defined]
        return found.pop()

    return draw
