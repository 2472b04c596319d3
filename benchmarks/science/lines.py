"""What a benchmark of science says: a line a claim, each with its runs and its target."""

import argparse
import json
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

R = TypeVar("R")
N = TypeVar("N")


@dataclass(frozen=True)
class Line:
    """One measured value and its target."""

    name: str
    value: float
    """The median of the runs."""
    unit: str
    target: str
    met: bool | None
    runs: list[float]


def at_most(name: str, values: list[float], limit: float, unit: str = "1") -> Line:
    """Every run must be at most the limit."""
    return Line(name, statistics.median(values), unit, f"<= {limit}", max(values) <= limit, values)


def at_least(name: str, values: list[float], limit: float, unit: str = "1") -> Line:
    """Every run must be at least the limit."""
    return Line(name, statistics.median(values), unit, f">= {limit}", min(values) >= limit, values)


def above(name: str, values: list[float], limit: float, unit: str = "1") -> Line:
    """Every run must be above the limit."""
    return Line(name, statistics.median(values), unit, f"> {limit:g}", min(values) > limit, values)


def mean_at_most(name: str, values: list[float], limit: float, unit: str = "1") -> Line:
    """The mean of the runs must be at most the limit."""
    mean = statistics.fmean(values)
    return Line(f"{name}, mean", mean, unit, f"<= {limit}", mean <= limit, values)


def told(name: str, values: list[float], unit: str = "1") -> Line:
    """Reported without a target."""
    return Line(name, statistics.median(values), unit, "-", None, values)


def table(lines: Sequence[Line]) -> str:
    """The lines in Markdown."""
    out = ["| what | median | all runs | target | met |", "|---|---|---|---|---|"]
    for line in lines:
        met = {True: "yes", False: "**no**", None: ""}[line.met]
        values = " ".join(f"{value:.4g}" for value in line.runs)
        unit = "" if line.unit == "1" else f" {line.unit}"
        out.append(f"| {line.name} | {line.value:.4g}{unit} | {values} | {line.target} | {met} |")
    return "\n".join(out)


def parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """What every benchmark of science may be asked."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--processes", type=int, default=1, help="jobs at once")
    made.add_argument("--json", type=Path, help="write the lines here")
    return made


def options(description: str | None, quick: str) -> argparse.Namespace:
    """The same, answered."""
    return parser(description, quick).parse_args()


def measured(measure: Callable[[R], N], runs: Sequence[R], processes: int) -> list[N]:
    """Measure every run in processes of their own; says on standard error how far it is."""
    found: list[N] = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for run, numbers in zip(runs, pool.imap(measure, runs), strict=True):
            found.append(numbers)
            sys.stderr.write(f"{len(found)} of {len(runs)}: {run}\n")
    return found


def finish(lines: Sequence[Line], chosen: Any) -> int:
    """Print the table, write JSON where asked; 1 when a target is missed, unless quick."""
    print(table(lines))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")
    return int(any(line.met is False for line in lines) and not chosen.quick)
