"""One screen of `atoll top`, from one status. Pure: size and time are arguments."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atoll_api.status import StepStatus, TrainingJobStatus
from atoll_cli.live import STYLES, duration, steps_of
from atoll_cli.top.columns import GAP, MESSAGE, Column, Known, Row, columns_for, fitting, rows_of
from atoll_operator.plan.step_status import worst_first

_TROUBLES: Final = ("Failed", "Degraded", "Suspended")
_STATES: Final = ("Failed", "Pending", "Waiting", "Running", "Succeeded")


@dataclass(frozen=True)
class Size:
    """Of a screen, in characters; no height where nobody has to scroll back."""

    width: int
    height: int | None = None


def screen(
    title: str,
    status: TrainingJobStatus,
    known: Known,
    size: Size,
    now: float,
) -> Group:
    """The job in a few lines, then a row a step, as many as fit: the worst ones then.

    Args:
        title: what the user calls it.
        status: the one known last.
        known: what is known beside it.
        size: of the screen.
        now: seconds since the epoch.
    """
    head = [it for it in (_first(title, status, now), _second(status)) if it.plain]
    head += [_cut(it, size.width) for it in _troubles(status)]
    room = None if size.height is None else max(1, size.height - len(head) - 1)
    steps, hidden = chosen(status, room)
    rows = rows_of(steps, known)
    table = _table(rows, fitting(size.width, columns_for(rows)))
    parts: list[RenderableType] = [*(_cut(it, size.width) for it in head), table]
    return Group(*parts, *([_cut(_hidden(hidden), size.width)] if hidden else []))


def chosen(status: TrainingJobStatus, room: int | None) -> tuple[list[StepStatus], dict[str, int]]:
    """The steps to show in so many lines, and how many of the others are in which state.

    All of them in their own order, if they fit; else the worst first, and a line for the rest.
    """
    steps = steps_of(status)
    unlisted = _unlisted(status)
    if not unlisted and (room is None or len(steps) <= room):
        return steps, {}
    ordered = [*(it for it in steps if it.island is None and it.state in _NEWS)]
    ordered += worst_first(status.islands)
    rest = [it for it in steps if it.island is None and it.state not in _NEWS]
    ordered += rest
    shown = ordered if room is None else ordered[: max(1, room - 1)]
    counted = Counter[str](it.state for it in ordered[len(shown) :])
    counted.update({"not listed": unlisted})
    return shown, {state: count for state, count in counted.items() if count}


_NEWS: Final = ("Failed", "Pending", "Running")
"""States in which a step that is no island is worth a line among hundreds of islands."""


def _unlisted(status: TrainingJobStatus) -> int:
    """Islands that the status counts and does not list."""
    _, _, count = status.islands_ready.partition("/")
    return max(0, int(count) - len(status.islands)) if count.isdecimal() else 0


def _first(title: str, status: TrainingJobStatus, now: float) -> Text:
    style = STYLES.get(status.state, "bold")
    seconds = status.progress.eta_seconds
    parts = [f"{status.progress.percent} %"]
    if seconds and status.completion_time is None:
        parts.append(f"about {duration(seconds)} left")
    if (elapsed := elapsed_seconds(status, now)) is not None:
        verb = "took" if status.completion_time else "for"
        parts.append(f"{verb} {duration(elapsed)}")
    told = "   ".join(parts)
    return Text.assemble((title, "bold"), "   ", (status.state, style), f"   {told}")


def _second(status: TrainingJobStatus) -> Text:
    states = Counter(it.state for it in status.islands)
    words = [f"{states[state]} {state.lower()}" for state in _STATES if states[state]]
    listed = f"of the {len(status.islands)} worst " if _unlisted(status) else ""
    steps = [*status.islands, *status.steps]
    speed = sum(it.samples_per_second or 0.0 for it in steps if it.state == "Running")
    restarts = sum(it.restarts for it in steps)
    parts = [f"islands: {status.islands_ready or 0} done"] if status.islands_ready else []
    parts += [listed + ", ".join(words)] if words else []
    parts += [f"{speed:,.0f} samples/s"] if speed else []
    parts += [f"{restarts} restart{'s' if restarts > 1 else ''}"] if restarts else []
    return Text("   ".join(parts))


def _troubles(status: TrainingJobStatus) -> list[Text]:
    bad = [it for it in status.conditions if it.type in _TROUBLES and it.status == "True"]
    return [Text(f"{it.type}: {it.message}", style="red") for it in bad]


def _hidden(counted: Mapping[str, int]) -> Text:
    words = ", ".join(f"{count} {state.lower()}" for state, count in counted.items())
    return Text(f"… and {sum(counted.values())} more: {words}", style="dim")


def _table(rows: list[Row], columns: list[Column]) -> Table:
    told = any(column.heading == MESSAGE for column in columns)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), expand=told)
    for column in columns:
        last = column.heading == MESSAGE
        table.add_column(
            column.heading,
            justify=column.side,
            width=None if last else column.width,
            ratio=1 if last else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(column.cell(row) for column in columns))
    return table


def _cut(text: Text, width: int) -> Text:
    """One line: what a terminal wraps takes the place of a row."""
    line = Text(" ".join(text.plain.split("\n")), spans=text.spans, style=text.style)
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def elapsed_seconds(status: TrainingJobStatus, now: float) -> float | None:
    """Since the job was first seen, to its end or until now; None where nobody has said when."""
    if status.start_time is None:
        return None
    end = now if status.completion_time is None else _seconds(status.completion_time)
    return max(0.0, end - _seconds(status.start_time))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
