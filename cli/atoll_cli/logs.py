"""Logs of steps: which ones, in which order, and how a line is shown."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from atoll_api import names
from atoll_api.base import closest
from atoll_api.names import StepName
from atoll_cli import runs
from atoll_cli.errors import CliError
from atoll_operator.local.folder import RunFolder
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.status import ended_in
from atoll_telemetry.logs import as_text, parse

_LOOK_SECONDS: Final = 0.2
_ISLANDS: Final = ("island", "islands")
_FIRST: Final = (names.HUB, names.PARTITION, names.SEED, names.ISLAND)
_COLOURS: Final = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green")


def in_order(steps: Iterable[str]) -> list[str]:
    """As people think of them: hub, partition, islands by number, the rest."""
    return sorted(set(steps), key=_rank)


def chosen(asked: str | None, known: Iterable[str], title: str) -> list[str]:
    """The steps that the user means; all of them where none is named.

    Raises:
        CliError: there is none of that name.
    """
    steps = in_order(known)
    if asked is None:
        return steps
    islands = [it for it in steps if it.startswith(f"{names.ISLAND}-")]
    if asked in _ISLANDS and islands:
        return islands
    if asked in steps:
        return [asked]
    guess = closest(asked, steps)
    hint = f"did you mean {guess}?" if guess else f"there is: {', '.join(_shortened(steps))}"
    raise CliError(f"{title}: no step {asked}; {hint}")


@dataclass(frozen=True)
class Teller:
    """Prints lines, each with its step before it where there are several."""

    steps: Sequence[str]
    raw: bool = False
    """Lines of JSON are shown as they are, and not as text."""
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        width = max((len(it) for it in self.steps), default=0)
        object.__setattr__(self, "_width", width)

    def tell(self, step: str, line: bytes) -> None:
        """One line, without its end."""
        text = line.decode("utf-8", errors="replace").rstrip("\r")
        structured = None if self.raw else parse(text)
        text = text if structured is None else as_text(structured)
        if len(self.steps) > 1:
            colour = _COLOURS[self.steps.index(step) % len(_COLOURS)]
            text = f"{click.style(f'{step:<{self._width}} |', fg=colour)} {text}"
        click.echo(text)

    def explain(self, step: str, why: str) -> None:
        """Why there is nothing to print, to whoever looks."""
        print(f"atoll: {step}: {why}", file=sys.stderr)


class Pieces:
    """Cuts what comes in pieces into lines."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece."""
        *lines, self._begun = (self._begun + piece).split(b"\n")
        return lines

    def rest(self) -> list[bytes]:
        """The line that nobody has ended."""
        return [self._begun] if self._begun else []


def show_run(folder: Path, asked: str | None, *, follow: bool, raw: bool = False) -> None:
    """Print the logs of a run on this machine; `raw`: as they are.

    Raises:
        CliError: the folder is no run's, or it has no log of that step.
    """
    job = runs.read_job(folder)
    steps = (names.HUB, *(it.name for it in pipeline(job.spec)))
    teller = Teller(chosen(asked, steps, str(folder)), raw=raw)
    tails = [_Tail(step, RunFolder.at(folder).log(StepName(step))) for step in teller.steps]
    while follow and _is_going(folder):
        for tail in tails:
            tail.tell(teller)
        time.sleep(_LOOK_SECONDS)
    for tail in tails:
        tail.tell(teller, last=True)
    if not any(tail.path.exists() for tail in tails):
        raise CliError(f"{folder}: no logs yet of {', '.join(_shortened(teller.steps))}")


def _is_going(folder: Path) -> bool:
    return runs.is_going(folder) and ended_in(runs.read_status(folder)) is None


@dataclass
class _Tail:
    """A log that may grow, or be there later."""

    step: str
    path: Path
    pieces: Pieces = field(default_factory=Pieces)
    done_bytes: int = 0

    def tell(self, teller: Teller, *, last: bool = False) -> None:
        """Print what is new; the last time, a line that nobody has ended too."""
        for line in self._new_lines():
            teller.tell(self.step, line)
        for line in self.pieces.rest() if last else ():
            teller.tell(self.step, line)

    def _new_lines(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.done_bytes)
            while piece := file.read(1 << 16):
                self.done_bytes += len(piece)
                yield from self.pieces.feed(piece)


def _rank(step: str) -> tuple[int, int, str]:
    process = names.process_of_step("", step)
    role = process.role if process else step
    place = _FIRST.index(role) if role in _FIRST else len(_FIRST)
    return place, process.index if process else 0, step


def _shortened(steps: Sequence[str]) -> list[str]:
    islands = [it for it in steps if it.startswith(f"{names.ISLAND}-")]
    if len(islands) < 3:
        return list(steps)
    span = f"{islands[0]} to {islands[-1]}"
    at = steps.index(islands[0])
    rest = [it for it in steps if it not in islands]
    return [*rest[:at], span, *rest[at:]]
