"""docs/benchmarks.md and the README's figures, made of the results that are kept. Pure, but for reading."""

from collections.abc import Iterable, Iterator
from typing import Final

from tools.benchmarks.catalogue import BENCHMARKS, HEADLINES, Benchmark, find
from tools.benchmarks.results import Figure, Result

BEGIN: Final = "<!-- figures: made by `python -m tools.benchmarks page` -->"
END: Final = "<!-- end of figures -->"
_INTRODUCTION: Final = """\
# Benchmarks

Every figure that Atoll claims, its target where it has one, the command that measures it, and where and
when that was run last. `python -m tools.benchmarks run NAME` runs one anew and keeps what it says;
`make peers` runs all in which another program stands beside Atoll and prints the ratios. This page is
made of what is kept in `benchmarks/results`, by `make generate`; nobody writes a number here.

A value is the median of its runs unless its name says otherwise; beside it stand the smallest and the
largest. Comparisons alternate within one run. A target that is missed stays missed, with the reason.
"""


class UnexplainedError(Exception):
    """A target is missed, and nobody says why."""


def page(results: Iterable[tuple[Benchmark, Result | None]]) -> str:
    """The whole page, in Markdown.

    Raises:
        UnexplainedError: a missed target without a reason, or a reason without a missed target.
    """
    return "\n".join(line for part in (_opening(), *map(_section, results)) for line in part) + "\n"


def kept() -> list[tuple[Benchmark, Result | None]]:
    """Every benchmark and what is kept of it."""
    return [(it, Result.load(it.name)) for it in BENCHMARKS]


def headlines(results: Iterable[tuple[Benchmark, Result | None]]) -> str:
    """The README's figures, between their markers."""
    found = {it.name: result for it, result in results}
    lines = [BEGIN, ""]
    for headline in HEADLINES:
        result = found[headline.benchmark]
        if result is None:
            continue
        figure = next(it for it in result.figures if it.name == headline.figure)
        low, high = figure.spread
        said = headline.words.format(value=number(figure.value), low=number(low), high=number(high))
        lines.append(
            f"- {said} ([how](docs/benchmarks.md#{anchor(find(headline.benchmark).title)}))"
        )
    return "\n".join([*lines, "", END])


def with_headlines(readme: str, block: str) -> str:
    """The README with its figures replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{block}{after}"


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}".rstrip("0")


def anchor(title: str) -> str:
    """What a heading is linked by."""
    kept_characters = (it for it in title.lower() if it.isalnum() or it in " -")
    return "".join(kept_characters).replace(" ", "-")


def _opening() -> Iterator[str]:
    yield _INTRODUCTION
    yield "| benchmark | about | minutes |"
    yield "|---|---|---|"
    for it in BENCHMARKS:
        yield f"| [{it.name}](#{anchor(it.title)}) | {it.about} | {it.minutes} |"
    yield ""


def _section(found: tuple[Benchmark, Result | None]) -> Iterator[str]:
    benchmark, result = found
    yield f"## {benchmark.title}"
    yield ""
    yield benchmark.about
    if benchmark.needs:
        yield f"Needs {benchmark.needs}."
    yield ""
    yield f"    {benchmark.command}"
    yield ""
    if result is None:
        yield "Nothing is kept of it yet."
        yield ""
        return
    yield f"{result.date}, {result.machine}."
    yield ""
    yield "| figure | value | smallest to largest | runs | target | |"
    yield "|---|---|---|---|---|---|"
    yield from map(_row, result.figures)
    yield ""
    yield from _missed(benchmark, result)


def _row(figure: Figure) -> str:
    low, high = figure.spread
    spread = f"{number(low)} to {number(high)}" if len(figure.runs) > 1 else ""
    runs = str(len(figure.runs)) if figure.runs else ""
    target = "" if figure.target is None else str(figure.target)
    met = {True: "met", False: "**missed**", None: ""}[figure.met]
    unit = "" if figure.unit == "1" else f" {figure.unit}"
    return (
        f"| {figure.name} | {number(figure.value)}{unit} | {spread} | {runs} | {target} | {met} |"
    )


def _missed(benchmark: Benchmark, result: Result) -> Iterator[str]:
    missed = {it.name for it in result.figures if it.met is False}
    if missed != benchmark.missed.keys():
        raise UnexplainedError(
            f"{benchmark.name} misses {sorted(missed)}, and the catalogue explains "
            f"{sorted(benchmark.missed)}: say why in tools/benchmarks/catalogue.py"
        )
    for name, why in benchmark.missed.items():
        yield f"**{name}**: {why}"
        yield ""
