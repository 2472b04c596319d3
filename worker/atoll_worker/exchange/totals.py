"""What the steps of a job have counted, as the hub keeps it: over all attempts of each. No I/O.

A process's counters end with it. So the hub keeps what the attempts before counted, and adds what
the present one says; of a gauge it keeps what was said last. What an island may say is bounded:
names and labels of the catalogue, numbers that can be added up, its own step.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from atoll.progress.v1 import progress_pb2 as pb
from atoll_telemetry.families import Kind
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.metrics import REPORTED

MAX_STEPS: Final = 4096
MAX_SAMPLES: Final = 256
MAX_ATTEMPT_BYTES: Final = 64
MAX_NAME_BYTES: Final = 128
MAX_LABEL_BYTES: Final = 64
MAX_COUNT: Final = 2.0**100
"""Of a counter: sums of such stay finite."""
ENDED_KEPT: Final = 16
"""Attempts that are remembered: a report of one of them may come late, and counts no more."""

Series = tuple[str, tuple[str, ...]]
"""A family as the process calls it, and the values of its labels."""

_KNOWN: Final[Mapping[Series, Series]] = {
    series: series
    for name, family in REPORTED.items()
    for series in ((name, it) for it in product(*(label.values for label in family.labels[1:])))
}
"""Every series that there can be; one key for all steps."""
_COUNTERS: Final = frozenset(
    name for name, family in REPORTED.items() if family.kind is Kind.COUNTER
)


@dataclass(frozen=True)
class Told:
    """What one step has told; replaced as a whole, so that any thread may read it.

    Attributes:
        attempt: the process that told last.
        ended: attempts before it, the latest last.
        before: counters of the attempts that have ended, added up.
        counters: those of the present one.
        gauges: the last word on each, by whichever attempt.
    """

    attempt: str = ""
    ended: tuple[str, ...] = ()
    before: Mapping[Series, float] = field(default_factory=dict)
    counters: Mapping[Series, float] = field(default_factory=dict)
    gauges: Mapping[Series, float] = field(default_factory=dict)

    def then(self, attempt: str, said: Mapping[Series, float]) -> "Told":
        """After a report; one that comes late changes nothing, nor does a counter go back."""
        if attempt in self.ended:
            return self
        same = attempt == self.attempt
        begun = self.counters if same else {}
        counters = {it: max(value, begun.get(it, 0.0)) for it, value in _counters(said)}
        gauges = {it: value for it, value in said.items() if it[0] not in _COUNTERS}
        return Told(
            attempt=attempt,
            ended=self.ended if same else (*self.ended, self.attempt)[-ENDED_KEPT:],
            before=self.before if same else self.counted(),
            counters={**begun, **counters},
            gauges={**self.gauges, **gauges},
        )

    def counted(self) -> dict[Series, float]:
        """Counters over all attempts."""
        found = dict(self.before)
        for series, value in self.counters.items():
            found[series] = found.get(series, 0.0) + value
        return found


class TotalsBook:
    """What every step has told. Written from one thread, read from any."""

    def __init__(self) -> None:
        self._steps: dict[str, Told] = {}
        self._heard: dict[str, float] = {}
        self.changed = False
        """Whether there is something that `dump` has not said yet."""

    def heard(self, step: str, timestamp_seconds: float) -> None:
        """A step has told something; too many of them are not remembered."""
        if step in self._heard or len(self._heard) < MAX_STEPS:
            self._heard[step] = timestamp_seconds

    def put(self, step: str, totals: pb.Totals) -> None:
        """Take what a process counted.

        Raises:
            ManifestError: it breaks a limit, which the message names.
        """
        _check(step, totals)
        if step not in self._steps and len(self._steps) >= MAX_STEPS:
            raise ManifestError(f"more than {MAX_STEPS} steps report totals")
        said = {}
        for sample in totals.samples:
            series = _KNOWN.get((sample.name, tuple(sample.label_values)))
            if series is not None:
                said[series] = _value(step, series, sample.value)
        self._steps[step] = self._steps.get(step, Told()).then(totals.attempt, said)
        self.changed = True

    def steps(self) -> Iterable[tuple[str, Told]]:
        """What each step has told, by its name."""
        return tuple(self._steps.items())

    def times(self) -> Iterable[tuple[str, float]]:
        """When each step told something last, in seconds since the epoch."""
        return tuple(self._heard.items())

    def dump(self) -> bytes:
        """All of it as JSON, NaN as Python writes it; on any thread."""
        self.changed = False
        steps = {
            name: {
                "attempt": told.attempt,
                "ended": told.ended,
                **{part: _listed(getattr(told, part)) for part in _PARTS},
            }
            for name, told in self.steps()
        }
        return json.dumps({"steps": steps, "heard": dict(self.times())}).encode()

    def load(self, content: bytes) -> None:
        """Take up what `dump` wrote; anything else is passed over, as no result depends on it."""
        try:
            document = json.loads(content)
            steps = {str(name): _told(it) for name, it in document["steps"].items()}
            heard = {str(name): float(it) for name, it in document["heard"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return
        self._steps, self._heard = steps, heard


_PARTS: Final = ("before", "counters", "gauges")


def _listed(numbers: Mapping[Series, float]) -> list[tuple[str, tuple[str, ...], float]]:
    return [(name, labels, value) for (name, labels), value in numbers.items()]


def _told(document: Any) -> Told:
    numbers = {part: dict(_known_of(document[part])) for part in _PARTS}
    ended = tuple(str(it) for it in document["ended"])
    return Told(str(document["attempt"]), ended, **numbers)


def _known_of(listed: Iterable[Any]) -> Iterable[tuple[Series, float]]:
    for name, labels, value in listed:
        series = _KNOWN.get((str(name), tuple(map(str, labels))))
        if series is not None:
            yield series, float(value)


def _counters(said: Mapping[Series, float]) -> Iterable[tuple[Series, float]]:
    return ((it, value) for it, value in said.items() if it[0] in _COUNTERS)


def _check(step: str, totals: pb.Totals) -> None:
    if not 0 < len(totals.attempt.encode()) <= MAX_ATTEMPT_BYTES:
        raise ManifestError(f"an attempt of {step} has 1 to {MAX_ATTEMPT_BYTES} bytes")
    if len(totals.samples) > MAX_SAMPLES:
        raise ManifestError(f"{step} reports more than {MAX_SAMPLES} samples")
    bounds: tuple[tuple[Callable[[pb.Sample], Iterable[str]], int], ...] = (
        (lambda it: (it.name,), MAX_NAME_BYTES),
        (lambda it: it.label_values, MAX_LABEL_BYTES),
    )
    for words, most in bounds:
        if any(len(word.encode()) > most for it in totals.samples for word in words(it)):
            raise ManifestError(f"{step} reports a sample with a word of more than {most} bytes")


def _value(step: str, series: Series, value: float) -> float:
    if series[0] in _COUNTERS:
        if not 0 <= value <= MAX_COUNT:  # NaN is not either
            raise ManifestError(f"{step} counts {value} of {series[0]}")
    elif math.isinf(value):
        raise ManifestError(f"{step} reports a number that is not finite")
    return value
