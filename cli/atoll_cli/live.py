"""What a person sees while a job runs: bars on a terminal, lines elsewhere."""

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from atoll_api.status import StepStatus, TrainingJobStatus

BAR_WIDTH = 16
STYLES = {"Running": "cyan", "Succeeded": "green", "Failed": "bold red", "Pending": "yellow"}
_MARKS = {"Waiting": "·", "Pending": "…", "Running": "▶", "Succeeded": "✔", "Failed": "✘"}


class View(AbstractContextManager["View"], ABC):
    """Shows each new status of a job; entered before the first and left after the last."""

    @abstractmethod
    def show(self, status: TrainingJobStatus) -> None:
        """Show a status; called whenever it changed."""

    @abstractmethod
    def say(self, line: str) -> None:
        """Say one line that stays."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""


def steps_of(status: TrainingJobStatus) -> list[StepStatus]:
    """Every step in the order people think of them: partition, islands by number, the rest."""
    islands = sorted(status.islands, key=lambda step: step.island or 0)
    first = [step for step in status.steps if step.name == "partition"]
    rest = [step for step in status.steps if step.name != "partition"]
    return [*first, *islands, *rest]


def eta_seconds(step: StepStatus, elapsed_seconds: float, done_since: int) -> float | None:
    """Seconds until a step is done, from what it did since it was first seen running."""
    if done_since <= 0 or step.steps <= step.step:
        return None
    return (step.steps - step.step) * elapsed_seconds / done_since


def duration(seconds: float | None) -> str:
    """Seconds as people read them: `8s`, `3m20s`, `2h05m`."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


class Clocks:
    """When each step was first seen running, and how far it was then."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, int]] = {}

    def eta(self, step: StepStatus, now: float) -> float | None:
        """The step's ETA in seconds, or None while there is nothing to go by."""
        if step.state != "Running":
            self._first.pop(step.name, None)
            return None
        since, done = self._first.setdefault(step.name, (now, step.step))
        return eta_seconds(step, now - since, step.step - done)


class Bars(View):
    """A table that redraws itself: one bar a step."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._clocks = Clocks()

    def __enter__(self) -> Self:
        """Take over the lower part of the screen."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last table on the screen."""
        self._live.stop()

    def show(self, status: TrainingJobStatus) -> None:
        """Redraw."""
        self._live.update(table(status, self._clocks, time.monotonic()))

    def say(self, line: str) -> None:
        """Print above the table."""
        self._live.console.print(line)


def table(status: TrainingJobStatus, clocks: Clocks, now: float) -> Group:
    """The live table of one status."""
    grid = Table.grid(padding=(0, 1), expand=True)
    # Every column keeps its width but the last: only a message may be cut.
    grid.add_column(min_width=11, no_wrap=True)
    grid.add_column(width=BAR_WIDTH, no_wrap=True)
    for width in (9, 11, 9, 6):
        grid.add_column(justify="right", min_width=width, no_wrap=True)
    grid.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    for step in steps_of(status):
        grid.add_row(*_row(step, clocks.eta(step, now)))
    return Group(grid, *_summary(status))


def _summary(status: TrainingJobStatus) -> list[Text]:
    """The whole job in a line, and what is wrong with it in another."""
    seconds = status.progress.eta_seconds
    eta = f", about {duration(seconds)} left" if seconds else ""
    lines = [Text.assemble((status.state, "bold"), f"  {status.progress.percent} %{eta}")]
    bad = [c for c in status.conditions if c.type in ("Degraded", "Failed") and c.status == "True"]
    return lines + [Text(f"{c.type}: {c.message}", style="red") for c in bad]


def _row(step: StepStatus, eta: float | None) -> tuple[Text | ProgressBar, ...]:
    style = STYLES.get(step.state, "dim")
    done = step.steps or 1 if step.state == "Succeeded" else step.step
    bar = ProgressBar(
        total=max(step.steps, 1), completed=done, width=BAR_WIDTH, complete_style=style
    )
    count = f"{step.step}/{step.steps}" if step.steps else ""
    loss = f"loss {step.loss:.4f}" if step.loss is not None else ""
    speed = step.samples_per_second if step.state == "Running" else None
    rate = f"{speed:,.0f}/s" if speed else ""
    restarts = (
        f"{step.restarts} restart{'s' if step.restarts > 1 else ''} " if step.restarts else ""
    )
    return (
        Text(f"{_MARKS[step.state]} {step.name}", style=style),
        bar,
        Text(count),
        Text(loss),
        Text(rate, style="dim"),
        Text(duration(eta)),
        Text(f"{restarts}{step.message}", style="red" if step.state == "Failed" else "dim"),
    )


class Lines(View):
    """A line whenever a step changes its state, and every quarter of its work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, tuple[str, int, int]] = {}
        self._clocks = Clocks()

    def show(self, status: TrainingJobStatus) -> None:
        """Print what is new."""
        for step in steps_of(status):
            eta = self._clocks.eta(step, time.monotonic())
            quarter = 4 * step.step // step.steps if step.steps else 0
            news = (step.state, step.restarts, quarter)
            if step.state != "Waiting" and self._said.get(step.name) != news:
                self._said[step.name] = news
                self.say(line(step, eta))

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def line(step: StepStatus, eta: float | None = None) -> str:
    """One step as one line."""
    parts = [f"{step.name:<10}", f"{step.state:<9}"]
    if step.steps:
        parts.append(f"{step.step}/{step.steps}")
    if step.loss is not None:
        parts.append(f"loss {step.loss:.4f}")
    if step.samples_per_second and step.state == "Running":
        parts.append(f"{step.samples_per_second:,.0f} samples/s")
    if eta is not None:
        parts.append(f"{duration(eta)} left")
    if step.restarts:
        parts.append(f"restarts {step.restarts}")
    if step.message:
        parts.append(step.message)
    return "  ".join(parts)
