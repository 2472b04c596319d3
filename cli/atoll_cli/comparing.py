"""`atoll report A B`: two runs, or jobs, read, compared and told."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from atoll_cli import runs
from atoll_cli.errors import CliError
from atoll_cli.targets import ClusterJob, Run
from atoll_worker.report.comparison import Comparison, Pair, RunSide
from atoll_worker.report.document import Report
from atoll_worker.report.files import write_whole
from atoll_worker.report.rendering import titled

PAGE, NUMBERS = "comparison.html", "comparison.json"
_SHOWN_FIELDS = 40
"""Fields of a configuration that a terminal lists; the page has all."""
_EQUAL = "equal"


def read_side(target: Run | ClusterJob) -> RunSide:
    """What is known of one of two runs.

    Raises:
        CliError: there is no report yet, or it is of another release.
    """
    if isinstance(target, ClusterJob):
        with tempfile.TemporaryDirectory(prefix="atoll-") as scratch:
            report = _report(fetched(target, Path(scratch)))
        return RunSide(target.title, report, target.job(), target.status())
    report = _report(target.folder)
    if not (target.folder / "job.json").is_file():  # the folder of a report that was fetched
        return RunSide(target.title, report)
    return RunSide(target.title, report, target.job(), target.status())


def fetched(job: ClusterJob, folder: Path) -> Path:
    """The folder, which has the report of a job now.

    Raises:
        CliError: there is no report yet.
    """
    from atoll_cli.pages import fetch_page  # noqa: PLC0415 - torch takes seconds

    with job.artifacts() as artifacts:
        found = fetch_page(artifacts, folder)
    if not found:
        state = job.status().state
        raise CliError(f"{job.name}: no report: the job is {state}; it comes at the end")
    return folder


def _report(folder: Path) -> Report:
    return Report.from_document(runs.read_report(folder))


def write(found: Comparison, a: RunSide, b: RunSide, folder: Path) -> Path:
    """Write the page and the numbers; the path of the page."""
    from atoll_worker.report.comparison_page import (  # noqa: PLC0415 - matplotlib takes a second
        comparison_page,
    )

    numbers = json.dumps(found.to_document(), indent=2, sort_keys=True) + "\n"
    write_whole(folder / PAGE, comparison_page(found, a, b).encode())
    write_whole(folder / NUMBERS, numbers.encode())
    return folder / PAGE


def show(console: Console, found: Comparison) -> None:
    """Print it: what was told, what came of it, which artifacts are equal."""
    console.print(Text.assemble(("A  ", "bold"), found.a), soft_wrap=True)
    console.print(Text.assemble(("B  ", "bold"), found.b), soft_wrap=True)
    for note in found.notes:
        console.print(f"  {note}", style="dim", markup=False)
    console.print()
    if found.configuration:
        console.print(_configuration(found))
        console.print()
    rows = (*found.metrics, *found.islands, *found.run)
    console.print(_numbers([it for it in rows if it.a is not None and it.b is not None]))
    for line in (*_only_lines(rows), ""):
        console.print(line, markup=False, highlight=False)
    for line in artifact_lines(found):
        console.print(line, markup=False, highlight=False)


def _configuration(found: Comparison) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("field", overflow="fold")
    for heading in ("A", "B"):
        table.add_column(heading, overflow="fold")
    for it in found.configuration[:_SHOWN_FIELDS]:
        table.add_row(Text(it.path), Text(_or_dash(it.a)), Text(_or_dash(it.b)))
    hidden = len(found.configuration) - _SHOWN_FIELDS
    if hidden > 0:
        table.add_row(Text(f"and {hidden} more, in the page", style="dim"))
    return table


def _only_lines(rows: Sequence[Pair]) -> list[str]:
    """Whose numbers have no counterpart; the page has them."""
    only = {
        "A": dict.fromkeys(it.of for it in rows if it.b is None),
        "B": dict.fromkeys(it.of for it in rows if it.a is None),
    }
    return [f"Only in {side}: {', '.join(named)}" for side, named in only.items() if named]


def _numbers(rows: Sequence[Pair]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("number", no_wrap=True)
    table.add_column("of", no_wrap=True)
    for heading in ("A", "B", "B less A"):
        table.add_column(heading, justify="right", no_wrap=True)
    for it in rows:
        table.add_row(Text(titled(it.name)), Text(it.of), *_cells(it))
    return table


def _cells(pair: Pair) -> tuple[Text, Text, Text]:
    styles = {side: "green" if pair.better == side else "" for side in ("A", "B")}
    a, b = Text(_number(pair.a), style=styles["A"]), Text(_number(pair.b), style=styles["B"])
    if pair.difference is None:
        return a, b, Text("")
    return a, b, Text(_EQUAL, style="dim") if pair.difference == 0 else Text(_signed(pair))


def _signed(pair: Pair) -> str:
    assert pair.difference is not None
    sign = "+" if pair.difference > 0 else "-"
    share = f" ({100 * pair.difference / abs(pair.a):+.1f} %)" if pair.a else ""
    return f"{sign}{_number(abs(pair.difference))}{share}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value.is_integer() else f"{value:.4f}"


def artifact_lines(found: Comparison) -> list[str]:
    """How many artifacts are equal, and the names of those that are not."""
    named = {
        "different": [it.ref for it in found.artifacts if it.relation == "Different"],
        "only in A": [it.ref for it in found.artifacts if it.relation == "OnlyA"],
        "only in B": [it.ref for it in found.artifacts if it.relation == "OnlyB"],
    }
    lines = [f"Artifacts: {found.count('Equal')} equal"]
    return lines + [
        f"  {len(refs)} {how}: {', '.join(refs)}" for how, refs in named.items() if refs
    ]


def _or_dash(text: str | None) -> str:
    return "-" if text is None else text
