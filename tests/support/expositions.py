"""What a scrape of an exposition finds."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from atoll_operator.kubernetes.measuring import Levels, Measurements

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(measurements: Measurements, levels: Levels | None = None) -> Series:
    """Every series that these measurements tell."""
    text, _ = measurements.exposition(levels or Levels())
    return read(text.decode())


def read(text: str) -> Series:
    """Every series: (name, labels) and its value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    """Of one series; KeyError if it is not there."""
    return series[name, frozenset(labels.items())]


def of(series: Series, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """Every series of a name, by its labels."""
    return {labels: it for (found, labels), it in series.items() if found == name}
