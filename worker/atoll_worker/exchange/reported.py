"""What the hub shows of the steps: `atoll_reported_...{step=...}`, made when it is asked for."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from atoll_telemetry.families import Kind
from atoll_worker.exchange.totals import TotalsBook
from atoll_worker.metrics import REPORTED


class ReportedTotals(Collector):
    """Reads the hub's book; asked on the thread of whoever scrapes."""

    def __init__(self, book: TotalsBook) -> None:
        self._book = book

    def collect(self) -> Iterator[Metric]:
        """Every family, those of which nothing was told yet without a series."""
        made = {name: _empty(name) for name in REPORTED}
        for step, told in self._book.steps():
            for (name, labels), value in {**told.counted(), **told.gauges}.items():
                made[name].add_metric((step, *labels), value)
        yield from made.values()


def _empty(name: str) -> CounterMetricFamily | GaugeMetricFamily:
    family = REPORTED[name]
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(family.name, family.help, labels=[label.name for label in family.labels])
