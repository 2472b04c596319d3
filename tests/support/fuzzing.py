"""Runs cases of a surface by number: each is a function of its seed, and whatever it raises is a find.

A case that takes too long or too much memory is one too, and is named. Nothing here knows what is
tried: a surface is a function `case(random) -> outcome`.
"""

import faulthandler
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

import pytest

Case = Callable[[Random], str]
"""Tries one thing; a word for how it was taken. Raises where the product does what it must not."""

CASE_SECONDS: Final = 30.0
"""A case that takes longer hangs: the slowest honest one takes a hundredth of it."""
CASE_BYTES: Final = 256 << 20
"""What one case may take beyond what was there before; damage of a few bytes is no reason for more."""
SHARES: Final[Mapping[str, int]] = {
    "specs": 22,
    "specs on a server": 10,
    "messages": 14,
    "calls": 12,
    "manifests": 10,
    "orders": 10,
    "stores": 5,
    "checkpoints": 4,
    "model files": 4,
    "identities": 3,
    "run folders": 3,
    "job files": 3,
}
"""Of a hundred cases, how many each surface gets: fewer where one costs more."""
ROW: Final = "fuzz row"
"""A property of a test's report: its line of the table."""
_MOST_FAILURES: Final = 20


class HangError(BaseException):
    """No handler of the product catches it."""


class GreedyError(AssertionError):
    """A case that took too much memory."""


@dataclass(frozen=True)
class Failure:
    """What a case found."""

    number: int
    kind: str
    """Its error, and where it was raised: two of one kind are one find."""
    line: str


@dataclass
class Tally:
    """What came of the cases of one surface."""

    surface: str
    seed: int
    cases: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    slowest: int = 0
    peak_bytes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0

    def count(self, number: int, outcome: str, seconds: float, grown_bytes: int) -> None:
        self.cases += 1
        self.seconds += seconds
        self.outcomes[outcome] += 1
        self.peak_bytes = max(self.peak_bytes, grown_bytes)
        if seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest = seconds, number

    def find(self, failure: Failure) -> None:
        """Keep the first of each kind."""
        self.failed += 1
        kinds = {it.kind for it in self.failures}
        if failure.kind not in kinds and len(kinds) < _MOST_FAILURES:
            self.failures.append(failure)

    def finds(self) -> list[str]:
        """The first of each kind, and what shows it again."""
        return [
            f"  #{it.number}: {it.kind}: {it.line}\n"
            f"      again: --fuzz-seed {self.seed} --fuzz-case {it.number}"
            for it in self.failures
        ]

    def row(self) -> str:
        """One line of the table."""
        said = ", ".join(f"{word} {count}" for word, count in self.outcomes.most_common(5))
        slowest = f"{self.slowest_seconds * 1000:7.0f} ms (#{self.slowest})"
        grown = f"{self.peak_bytes / 2**20:5.0f} MB"
        numbers = f"{self.cases:7d} {self.seconds:7.1f} s {slowest:>20s} {grown} {self.failed:5d}"
        return f"{self.surface:18s} {numbers}  {said}"


HEADER: Final = f"{'surface':18s} {'cases':>7s} {'time':>9s} {'slowest case':>20s} {'grown':>8s} {'finds':>5s}  how they were taken"


def numbers_of(surface: str, cases: int) -> range:
    """The cases of a surface in a run of so many over all."""
    return range(max(1, cases * SHARES[surface] // 100))


def random_of(surface: str, seed: int, number: int) -> Random:
    """All that is random in one case."""
    return Random(f"{surface} {seed} {number}")


def tried(surface: str, case: Case, seed: int, numbers: range, notes: Path) -> Tally:
    """Run the cases; the first finds of each kind, with their numbers.

    Args:
        surface: whose.
        case: one.
        seed: of all.
        numbers: which.
        notes: a file that names the case that runs now, for one that ends the process.
    """
    tally = Tally(surface, seed)
    with notes.open("w+b", buffering=0) as log:
        for number in numbers:
            log.seek(0)
            log.write(f"{surface} {seed}:{number}\n".encode().ljust(64))
            faulthandler.dump_traceback_later(4 * CASE_SECONDS, exit=True, file=log)
            _try_one(tally, case, number)
        faulthandler.cancel_dump_traceback_later()
    return tally


def _try_one(tally: Tally, case: Case, number: int) -> None:
    random = random_of(tally.surface, tally.seed, number)
    before = _forget_peak()
    began = time.monotonic()
    outcome = "found"
    try:
        with within(CASE_SECONDS):
            outcome = case(random)
        grown = _bounded(_peak() - before)
    except (Exception, HangError) as error:  # noqa: BLE001 - whatever it is, it is a find
        grown = _peak() - before
        tally.find(Failure(number, _kind(error), _line(error)))
    tally.count(number, outcome, time.monotonic() - began, grown)


def _bounded(grown_bytes: int) -> int:
    if grown_bytes > CASE_BYTES:
        raise GreedyError(f"took {grown_bytes >> 20} MB")
    return grown_bytes


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise HangError(f"still at it after {seconds} s")

    known = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, known)


def _kind(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [it for it in frames if "/tests/" not in it.filename and "atoll_" in it.filename]
    last = (ours or frames)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    said = (
        f" ({_line(error).partition(chr(58))[0]:.40})" if isinstance(error, AssertionError) else ""
    )
    return f"{type(error).__name__}{said} at {where}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _forget_peak() -> int:
    """Resident bytes now, from which the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@dataclass(frozen=True)
class Fuzz:
    """The settings of one run."""

    cases: int
    seed: int
    only: int | None
    notes: Path
    log: Path | None
    record: Callable[[str, object], None]

    def run(self, surface: str, case: Case, meets: Collection[str]) -> None:
        """Try a surface; fails with what was found, each with what shows it again.

        Args:
            surface: one of `SHARES`.
            case: one case.
            meets: outcomes that must occur: else the cases show nothing.
        """
        if self.only is not None:
            case(random_of(surface, self.seed, self.only))
            return
        numbers = numbers_of(surface, self.cases)
        tally = tried(surface, case, self.seed, numbers, self.notes)
        self.record(ROW, tally.row())
        if self.log is not None:  # a run of hours may be cut off
            with self.log.open("a") as log:
                log.write("\n".join((tally.row(), *tally.finds(), "")))
        if tally.failures:
            said = f"{surface}: {tally.failed} of {tally.cases} cases"
            pytest.fail("\n".join((said, *tally.finds())), pytrace=False)
        missed = set(meets) - set(tally.outcomes)
        assert not missed or len(numbers) < 50, f"no case met {missed}: {tally.outcomes}"
