"""Logs of steps: which ones, in which order, and how a line is shown."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import click

from atoll_api import names
from atoll_api.base import closest
from atoll_cli import runs
from atoll_cli.errors import CliError
from atoll_operator.plan.status import ended_in

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
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        width = max((len(it) for it in self.steps), default=0)
        object.__setattr__(self, "_width", width)

    def tell(self, step: str, line: bytes) -> None:
        """One line, without its end."""
        text = line.decode("utf-8", errors="replace").rstrip("\r")
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


def show_run(folder: Path, asked: str | None, *, follow: bool) -> None:
    """Print the logs of a run on this machine.

    Raises:
        CliError: the folder is no run's, or it has no log of that step.
    """
    runs.read_job(folder)  # says so of a folder that is none
    files = {it.stem: it for it in (folder / "logs").glob("*.log")}
    teller = Teller(chosen(asked, files, str(folder)))
    tails = {step: _Tail(step, files[step]) for step in teller.steps}
    _print(tails.values(), teller)
    while follow and _is_going(folder):
        time.sleep(_LOOK_SECONDS)
        _print(tails.values(), teller)
    for tail in tails.values():
        for line in tail.pieces.rest():
            teller.tell(tail.step, line)


def _is_going(folder: Path) -> bool:
    return runs.is_going(folder) and ended_in(runs.read_status(folder)) is None


@dataclass
class _Tail:
    """A log that may grow."""

    step: str
    path: Path
    pieces: Pieces = field(default_factory=Pieces)
    _file: BinaryIO | None = None

    def lines(self) -> Iterator[bytes]:
        """What is new."""
        self._file = self._file or self.path.open("rb")
        while piece := self._file.read(1 << 16):
            yield from self.pieces.feed(piece)


def _print(tails: Iterable[_Tail], teller: Teller) -> None:
    for tail in tails:
        for line in tail.lines():
            teller.tell(tail.step, line)


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
