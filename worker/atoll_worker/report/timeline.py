"""When each step of a job began, waited, ran, was restarted and ended, drawn from its status.

A page that an evaluation makes has no times: what is computed does not depend on when it was. So
the timeline is put into it afterwards, by whoever looks. Pure: no clock, no disk.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from atoll_api.status import Moment, StepStatus, TrainingJobStatus
from atoll_worker.report.rendering import render

MAX_ISLANDS: Final = 24
"""More islands than this are counted; those in trouble and the slowest are shown."""
_TICKS: Final = 6
_STEPS: Final = (
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
_PLACE: Final = re.compile(r"<!-- timeline -->.*?<!-- /timeline -->", re.DOTALL)
_FIRST: Final = ("partition", "seed")


@dataclass(frozen=True)
class Span:
    """A stretch of one state; both ends in % of the whole time."""

    state: str
    begin: float
    end: float
    title: str


@dataclass(frozen=True)
class Row:
    """One step.

    Attributes:
        name: of the step.
        spans: what it did, in order; where there is none, it had not been started.
        restarts: when it began anew, in % of the whole time.
        failed: when it was given up, likewise; None where it was not.
        told: how long it ran, and how often it was restarted.
    """

    name: str
    spans: tuple[Span, ...]
    restarts: tuple[float, ...]
    failed: float | None
    told: str


@dataclass(frozen=True)
class Timeline:
    """All of it.

    Attributes:
        seconds: from the first to the last moment.
        ticks: places of an axis in %, and what to write there.
        rows: in the order of the pipeline, islands by number.
        hidden: islands that are not shown.
        ended: whether the job has.
    """

    seconds: float
    ticks: tuple[tuple[float, str], ...]
    rows: tuple[Row, ...]
    hidden: int
    ended: bool


def timeline_of(status: TrainingJobStatus, now: float) -> Timeline | None:
    """What a status remembers; None where it remembers nothing.

    Args:
        status: of a job that may be going on.
        now: seconds since the epoch; the end of what has not ended.
    """
    steps = [it for it in (*status.steps, *status.islands) if it.history]
    if status.start_time is None or not steps:
        return None
    begin = seconds_of(status.start_time)
    told = [seconds_of(it.since) for step in steps for it in step.history]
    ended = status.completion_time is not None
    last = seconds_of(status.completion_time) if status.completion_time else now
    end = max(last, *told, begin + 0.001)
    shown = _shown(status)
    rows = tuple(_row(step, begin, end) for step in shown if step.history)
    hidden = len(status.islands) - sum(it.island is not None for it in shown)
    return Timeline(end - begin, _ticks(end - begin), rows, hidden, ended)


def with_timeline(page: str, timeline: Timeline | None) -> str:
    """The page with the timeline in its place; as it was, if it has no such place."""
    if timeline is None:
        return page
    section = render("timeline.html.j2", timeline=timeline, duration=duration)
    return _PLACE.sub(lambda _: f"<!-- timeline -->\n{section}\n<!-- /timeline -->", page)


def seconds_of(text: str) -> float:
    """Since the epoch, of a time as statuses have it."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def duration(seconds: float) -> str:
    """As people read it: `0.4 s`, `71 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:
        return f"{round(seconds)} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _shown(status: TrainingJobStatus) -> list[StepStatus]:
    ranked = sorted(status.islands, key=_interest, reverse=True)[:MAX_ISLANDS]
    islands = sorted(ranked, key=lambda it: it.island or 0)
    first = [it for it in status.steps if it.name in _FIRST]
    return [*first, *islands, *(it for it in status.steps if it.name not in _FIRST)]


def _interest(island: StepStatus) -> tuple[bool, int, str, int]:
    latest = island.history[-1].since if island.history else ""
    return (island.state == "Failed", island.restarts, latest, -(island.island or 0))


def _row(step: StepStatus, begin: float, end: float) -> Row:
    def place(at: float) -> float:
        return round(100 * (at - begin) / (end - begin), 3)

    stretches = _stretches(step.history, end)
    ran = sum(last - first for state, first, last in stretches if state == "Running")
    runs = [place(first) for state, first, _ in stretches if state == "Running"]
    failed = [seconds_of(it.since) for it in step.history if it.state == "Failed"]
    return Row(
        name=step.name,
        spans=tuple(
            Span(state, place(first), place(last), f"{state}: {duration(last - first)}")
            for state, first, last in stretches
        ),
        restarts=tuple(runs[1:]),
        failed=place(failed[-1]) if failed else None,
        told=_told(ran, step.restarts),
    )


def _stretches(history: Sequence[Moment], end: float) -> list[tuple[str, float, float]]:
    """State, begin and end in seconds; an end of the step is none."""
    moments = [(it.state, seconds_of(it.since)) for it in history]
    closed = [*moments, ("", end)]
    found = [(state, at, until) for (state, at), (_, until) in pairwise(closed)]
    return [it for it in found if it[0] in ("Pending", "Running", "Waiting")]


def _told(ran_seconds: float, restarts: int) -> str:
    words = f"{restarts} restart{'s' if restarts > 1 else ''}" if restarts else ""
    return ", ".join(filter(None, (duration(ran_seconds) if ran_seconds else "", words)))


def _ticks(seconds: float) -> tuple[tuple[float, str], ...]:
    apart = next((it for it in _STEPS if seconds / it <= _TICKS), seconds / _TICKS)
    count = int(seconds / apart)
    return tuple((round(100 * i * apart / seconds, 3), _tick(i * apart)) for i in range(count + 1))


def _tick(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600} h" if whole % 3600 == 0 else f"{whole / 3600:.1f} h"
