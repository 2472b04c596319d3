"""The table of merge methods: a new one is one entry here.

A method that needs torch imports it when it is made, so that the others do not wait for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from atoll_worker.merge.dare import Dare
from atoll_worker.merge.linear import Mean
from atoll_worker.merge.pieces import Method
from atoll_worker.merge.slerp import Slerp
from atoll_worker.merge.ties import Ties


@dataclass(frozen=True)
class Options:
    """What methods are told; each uses what its entry says."""

    weights: tuple[float, ...]
    """One for each model."""
    density: float = 0.5
    """The share of changes that stays."""
    seed: int = 0
    t: float = 0.5
    """From 0, the first model, to 1, the second."""


@dataclass(frozen=True)
class Entry:
    """One method."""

    make: Callable[[Options], Method]
    uses: frozenset[str]
    """The names of the options that have an effect."""
    needs_base: bool = False
    """Whether it merges changes against a base, which then is the first tensor of each piece."""
    aligns: bool = False
    """Whether the others first get the first model's order of units."""
    models: int | None = None
    """How many it merges; any number from 2 if None."""


METHODS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "mean": Entry(lambda options: Mean(options.weights), frozenset({"weights"})),
        "aligned": Entry(
            lambda options: Mean(options.weights), frozenset({"weights"}), aligns=True
        ),
        "slerp": Entry(
            lambda options: Slerp(options.t),
            frozenset({"t"}),
            models=2,
        ),
        "ties": Entry(
            lambda options: Ties(options.weights, options.density),
            frozenset({"weights", "density"}),
            needs_base=True,
        ),
        "dare": Entry(
            lambda options: Dare(options.weights, options.density, options.seed),
            frozenset({"weights", "density", "seed"}),
            needs_base=True,
        ),
    }
)
