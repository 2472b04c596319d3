"""When the steps of a run or a job ran: put into its page, and drawn on the terminal."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from atoll_api.status import TrainingJobStatus
from atoll_worker.errors import NoSpaceError
from atoll_worker.report.files import write_whole
from atoll_worker.report.timeline import Row, Timeline, duration, timeline_of, with_timeline

_MARKS: Final = {"Running": ("█", "cyan"), "Pending": ("░", "yellow"), "Waiting": ("·", "dim")}
_BESIDE: Final = 40
"""Characters of a line that are no bar."""
_MOST: Final = 72


def put_into_page(
    console: Console, folder: Path, status: TrainingJobStatus | None, now: float
) -> None:
    """Write the timeline into the page of a folder: a page that has none, or an older one.

    A folder that nobody may write to is looked at as it is.
    """
    page = folder / "report.html"
    if status is None or not page.is_file():
        return
    try:
        before = page.read_text("utf-8")
        after = with_timeline(before, timeline_of(status, now))
        if after != before:
            write_whole(page, after.encode())
    except (OSError, UnicodeDecodeError, NoSpaceError) as error:
        told = f"the page has no timeline: {error}"
        console.print(told, style="dim", markup=False, soft_wrap=True)


def show_timeline(console: Console, status: TrainingJobStatus | None, now: float) -> None:
    """Draw it, if the status remembers any."""
    timeline = timeline_of(status, now) if status else None
    if timeline is None:
        return
    console.print(f"\nTimeline, {duration(timeline.seconds)}:", highlight=False)
    console.print(_table(timeline, min(_MOST, max(10, console.width - _BESIDE))))


def _table(timeline: Timeline, width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True)
    for row in timeline.rows:
        table.add_row(Text(row.name), bar(row, width), Text(row.told, style="dim"))
    if timeline.hidden:
        table.add_row(Text(""), Text(f"and {timeline.hidden} more islands", style="dim"))
    return table


def bar(row: Row, width: int) -> Text:
    """The spans of a row in so many characters; the shortest has one."""
    cells = [(" ", "")] * width

    def at(percent: float) -> int:
        return min(width - 1, int(percent * width / 100))

    for span in row.spans:
        last = max(at(span.begin) + 1, round(span.end * width / 100))
        cells[at(span.begin) : last] = [_MARKS[span.state]] * (last - at(span.begin))
    for place in row.restarts:
        cells[at(place)] = ("│", "bold")
    if row.failed is not None:
        cells[at(row.failed)] = ("✘", "bold red")
    return Text.assemble(*cells[:width])
