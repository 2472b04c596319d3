"""What a metric is, before there is a number: name, kind, labels, meaning.

Names are API: dashboards and alerts of users hold on to them. So each family is declared once, as
data, by the package that counts it; from it come the instruments, the reference page and the checks
that every family is emitted, shown and documented.

Names follow prometheus.io/docs/practices/naming: base units, `_total` for counters. A label's values
are known when the code is written, or are the names of the steps of one job.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product


class Kind(StrEnum):
    """As Prometheus calls them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Label:
    """What a family is divided by."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    """All there are; empty: one for each step of the job, or each object of the cluster."""
    begins_with: tuple[str, ...] = ()
    """Those that exist from the start, if not all: an error that never happened needs no series."""

    @property
    def first_values(self) -> tuple[str, ...]:
        """Those that exist from the start."""
        return self.begins_with or self.values


@dataclass(frozen=True)
class Family:
    """One metric with all its labels.

    Attributes:
        name: as in a query; of a histogram, without `_bucket`, `_sum` and `_count`.
        kind: counter, gauge or histogram.
        help: what it is and in which unit, in one line.
        labels: what it is divided by.
        buckets: upper bounds of a histogram, without infinity.
        when: where it exists, if not in every process of its kind.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    when: str = ""

    def known_series(self) -> Iterator[tuple[str, ...]]:
        """Values of the labels of every series that exists from the start.

        Nothing where the values of a label are not known beforehand.
        """
        if all(label.first_values for label in self.labels):
            yield from product(*(label.first_values for label in self.labels))


@dataclass(frozen=True)
class Number:
    """What one series is now.

    Attributes:
        name: of its family.
        labels: their values, in the order of the family's labels.
        value: may be NaN, which means that nobody knows yet.
    """

    name: str
    labels: tuple[str, ...]
    value: float


def counter(name: str, help: str, *labels: Label, when: str = "") -> Family:  # noqa: A002
    """Only grows."""
    return Family(name, Kind.COUNTER, help, labels, when=when)


def gauge(name: str, help: str, *labels: Label, when: str = "") -> Family:  # noqa: A002
    """Goes up and down."""
    return Family(name, Kind.GAUGE, help, labels, when=when)


def histogram(
    name: str,
    help: str,  # noqa: A002
    *labels: Label,
    buckets: tuple[float, ...],
    when: str = "",
) -> Family:
    """How often which size."""
    return Family(name, Kind.HISTOGRAM, help, labels, buckets, when)
