"""The table of merge methods: a new one is one entry here. Needs no torch to be read.

A method is made when it is used; its module imports torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from atoll_worker.merge.pieces import Method


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

    make: "Callable[[Options], Method]"
    summary: str
    """What it does, for `--help`."""
    uses: frozenset[str]
    """The names of the options that have an effect."""
    needs_base: bool = False
    """Whether it merges changes against a base, which then is the first tensor of each piece."""
    models: int | None = None
    """How many it merges; any number from 2 if None."""


def _mean(options: Options) -> "Method":
    from atoll_worker.merge.mean import Mean  # noqa: PLC0415 - torch takes seconds

    return Mean(options.weights)


def _slerp(options: Options) -> "Method":
    from atoll_worker.merge.slerp import Slerp  # noqa: PLC0415 - torch takes seconds

    return Slerp(options.t)


def _ties(options: Options) -> "Method":
    from atoll_worker.merge.ties import Ties  # noqa: PLC0415 - torch takes seconds

    return Ties(options.weights, options.density)


def _dare(options: Options) -> "Method":
    from atoll_worker.merge.dare import Dare  # noqa: PLC0415 - torch takes seconds

    return Dare(options.weights, options.density, options.seed)


METHODS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "mean": Entry(_mean, "the weighted mean", frozenset({"weights"})),
        "slerp": Entry(_slerp, "along the arc between two models", frozenset({"t"}), models=2),
        "ties": Entry(
            _ties,
            "largest changes against a base, where they agree in sign",
            frozenset({"weights", "density"}),
            needs_base=True,
        ),
        "dare": Entry(
            _dare,
            "changes against a base, some dropped by chance, the rest rescaled",
            frozenset({"weights", "density", "seed"}),
            needs_base=True,
        ),
    }
)
