"""The columns of `atoll top`, and which of them a terminal has room for. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from rich.progress_bar import ProgressBar
from rich.text import Text

from atoll_api.status import StepStatus
from atoll_cli.live import BAR_WIDTH, STYLES, duration
from atoll_worker.report.rendering import byte_count

Cell = Text | ProgressBar
GAP: Final = 1
MESSAGE: Final = "MESSAGE"
"""The column that takes the room that is left."""
_MAY_BE_EMPTY: Final = ("LEFT", "RESTARTS", "BYTES", MESSAGE)


@dataclass(frozen=True)
class Row:
    """One step, and what is known of it beside its status.

    Attributes:
        step: its status.
        left_seconds: until it is done, as far as anybody can tell.
        moved_bytes: sent and received; None where nobody counts.
    """

    step: StepStatus
    left_seconds: float | None = None
    moved_bytes: int | None = None


@dataclass(frozen=True)
class Known:
    """What is known of steps beside their status, by their names."""

    left_seconds: Mapping[str, float | None] = field(default_factory=dict)
    moved_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        heading: above it.
        width: in characters; of the last one, the least that is of use.
        need: which columns go first where there is no room: those with the highest number.
        side: where numbers end and words begin.
        cell: what stands in it.
    """

    heading: str
    width: int
    need: int
    side: Literal["left", "right"]
    cell: Callable[[Row], Cell]


def fitting(width: int, columns: Sequence[Column]) -> list[Column]:
    """The columns that fit into so many characters, in their order: what is needed most."""
    chosen: set[str] = set()
    for column in sorted(columns, key=lambda it: it.need):
        used = sum(it.width + GAP for it in columns if it.heading in chosen)
        if not chosen or used + column.width <= width:
            chosen.add(column.heading)
    return [it for it in columns if it.heading in chosen]


def percent(step: StepStatus) -> int:
    """Of its own work, as far as it has said."""
    if step.state == "Succeeded":
        return 100
    return min(100, 100 * step.step // step.steps) if step.steps else 0


def _name(row: Row) -> Text:
    return Text(row.step.name, style=STYLES.get(row.step.state, ""))


def _state(row: Row) -> Text:
    return Text(row.step.state, style=STYLES.get(row.step.state, "dim"))


def _bar(row: Row) -> ProgressBar:
    style = STYLES.get(row.step.state, "dim")
    return ProgressBar(
        total=100, completed=percent(row.step), width=BAR_WIDTH, complete_style=style
    )


def _percent(row: Row) -> Text:
    return Text(f"{percent(row.step)} %")


def _steps(row: Row) -> Text:
    return Text(f"{row.step.step}/{row.step.steps}" if row.step.steps else "")


def _loss(row: Row) -> Text:
    return Text("" if row.step.loss is None else f"{row.step.loss:.4g}")


def _rate(row: Row) -> Text:
    speed = row.step.samples_per_second if row.step.state == "Running" else None
    return Text(f"{speed:,.0f}" if speed else "")


def _left(row: Row) -> Text:
    return Text(duration(row.left_seconds))


def _restarts(row: Row) -> Text:
    return Text(str(row.step.restarts or ""), style="yellow")


def _bytes(row: Row) -> Text:
    return Text("" if row.moved_bytes is None else byte_count(row.moved_bytes))


def _message(row: Row) -> Text:
    return Text(row.step.message, style="red" if row.step.state == "Failed" else "dim")


def columns_for(rows: Sequence[Row]) -> tuple[Column, ...]:
    """All columns in which these rows have something, as wide as they need them."""
    longest = max((len(row.step.name) for row in rows), default=4)
    counts = max((len(_steps(row).plain) for row in rows), default=4)
    found = (
        Column("STEP", max(4, longest), 0, "left", _name),
        Column("STATE", 9, 1, "left", _state),
        Column("", BAR_WIDTH, 8, "left", _bar),
        Column("DONE", 5, 2, "right", _percent),
        Column("STEPS", max(5, counts), 4, "right", _steps),
        Column("LOSS", 9, 3, "right", _loss),
        Column("SAMPLES/S", 9, 5, "right", _rate),
        Column("LEFT", 6, 9, "right", _left),
        Column("RESTARTS", 8, 6, "right", _restarts),
        Column("BYTES", 8, 7, "right", _bytes),
        Column(MESSAGE, 12, 10, "left", _message),
    )
    return tuple(it for it in found if it.heading not in _MAY_BE_EMPTY or _says(it, rows))


def _says(column: Column, rows: Sequence[Row]) -> bool:
    return any(str(column.cell(row)) for row in rows)


def rows_of(steps: Sequence[StepStatus], known: Known) -> list[Row]:
    """A row a step."""
    return [
        Row(it, known.left_seconds.get(it.name), known.moved_bytes.get(it.name)) for it in steps
    ]
