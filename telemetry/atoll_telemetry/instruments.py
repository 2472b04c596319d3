"""Numbers of one process, by family: what counts and what Prometheus reads."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

from atoll_telemetry.families import Family, Kind, Number

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and no query of ours asks for them


class Instruments:
    """One instrument a family, in a registry of its own; series known beforehand begin at 0."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {}
        self.include(families)

    def __contains__(self, family: Family) -> bool:
        return family.name in self._made

    def include(self, families: Iterable[Family]) -> None:
        """Make more: of what a process finds out about itself only later, as that it has a GPU."""
        for family in families:
            if family not in self:
                self._made[family.name] = _made(family, self.registry)

    def add(self, family: Family, amount: float, *labels: str) -> None:
        """Let a counter, or a gauge, grow."""
        found = self._child(family, labels)
        assert isinstance(found, Counter | Gauge)
        found.inc(amount)

    def set(self, family: Family, value: float, *labels: str) -> None:
        """What a gauge is now."""
        found = self._child(family, labels)
        assert isinstance(found, Gauge)
        found.set(value)

    def observe(self, family: Family, value: float, *labels: str) -> None:
        """One more value of a histogram."""
        found = self._child(family, labels)
        assert isinstance(found, Histogram)
        found.observe(value)

    def numbers(self, families: Iterable[Family]) -> Iterator[Number]:
        """What the counters and gauges of some families are now; of those that were made."""
        for family in families:
            names = [label.name for label in family.labels]
            for metric in self._made[family.name].collect() if family in self else ():
                for sample in metric.samples:
                    values = tuple(sample.labels[name] for name in names)
                    yield Number(family.name, values, sample.value)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All of it as text, and the type of that text, for an `Accept` header."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _child(self, family: Family, labels: tuple[str, ...]) -> MetricWrapperBase:
        made = self._made[family.name]
        return made.labels(*labels) if labels else made


def _made(family: Family, registry: CollectorRegistry) -> MetricWrapperBase:
    names = [label.name for label in family.labels]
    made: MetricWrapperBase
    match family.kind:
        case Kind.COUNTER:
            made = Counter(family.name, family.help, names, registry=registry)
        case Kind.GAUGE:
            made = Gauge(family.name, family.help, names, registry=registry)
        case Kind.HISTOGRAM:
            made = Histogram(
                family.name, family.help, names, buckets=family.buckets, registry=registry
            )
    for values in family.known_series() if names else ():
        made.labels(*values)
    return made
