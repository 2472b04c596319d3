"""The figures of a benchmark: a value, its target, and whether it is met; the options all take.

It must not measure anything.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BEGAN: Final = time.monotonic()


@dataclass(frozen=True)
class Target:
    """What a figure has to reach."""

    value: float
    at_least: bool = False
    """A ratio has to be large; a time, a cost or a size small."""

    def met_by(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value >= self.value if self.at_least else value <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    runs: Sequence[float] = ()

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met_by(self.value)

    def document(self) -> dict[str, object]:
        """As the JSON file has it."""
        return {
            "name": self.name,
            "value": round(self.value, 6),
            "unit": self.unit,
            "target": None if self.target is None else self.target.value,
            "met": self.met,
            "runs": [round(run, 6) for run in self.runs],
        }

    def __str__(self) -> str:
        met = "" if self.met is None else ("  met" if self.met else "  MISSED")
        target = "" if self.target is None else f"  target {self.target}"
        return f"{self.name:66} {self.value:>10.4f} {self.unit}{target}{met}"


def median(name: str, runs: Sequence[float], unit: str, target: Target | None = None) -> Figure:
    """The middle of some runs."""
    return Figure(name, statistics.median(runs), unit, target, runs)


def worst(name: str, runs: Sequence[float], unit: str, target: Target | None = None) -> Figure:
    """The largest of some runs."""
    return Figure(name, max(runs), unit, target, runs)


def parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """The options that every benchmark has.

    Args:
        description: Of the benchmark; its module's docstring.
        quick: What `--quick` does to it.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return made


def say(text: str) -> None:
    """Tell how far it is, apart from the figures."""
    print(f"{time.monotonic() - _BEGAN:6.0f} s  {text}", file=sys.stderr, flush=True)


def tell(figures: Sequence[Figure], path: Path | None) -> None:
    """Print them, one a line, and write them where the user named a file."""
    for one in figures:
        print(one)
    write(figures, path)


def write(figures: Sequence[Figure], path: Path | None) -> None:
    """Write them as JSON, where the user named a file."""
    if path is not None:
        path.write_text(json.dumps([it.document() for it in figures], indent=2) + "\n")
