"""What Prometheus would read of a process, or of a run that goes on."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Page:
    """All numbers of one process at one moment."""

    families: frozenset[str]
    """With or without a series."""
    series: Series

    @classmethod
    def of(cls, text: str) -> "Page":
        found = list(text_string_to_metric_families(text))
        named = {f"{it.name}_total" if it.type == "counter" else it.name for it in found}
        series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for it in found
            for sample in it.samples
        }
        return cls(frozenset(named), series)

    def value(self, name: str, **labels: str) -> float:
        return self.series[name, frozenset(labels.items())]

    def sum(self, name: str, **labels: str) -> float:
        """Over all series of a name that have these labels."""
        wanted = set(labels.items())
        return sum(
            it for (own, found), it in self.series.items() if own == name and wanted <= found
        )


def ask(address: str, path: str) -> tuple[int, str]:
    """Status and body."""
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def scrape(address: str) -> Page:
    status, text = ask(address, "/metrics")
    assert status == http.HTTPStatus.OK, text
    return Page.of(text)


def targets(run: Path) -> list[dict[str, Any]]:
    """What stands in a run's folder for Prometheus; nothing before there is a file."""
    path = run / "prometheus" / "targets.json"
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return found


def address_of(run: Path, step: str) -> str:
    """Where a step of a run is scraped; empty while it cannot be."""
    for target in targets(run):
        labels = target["labels"]
        found = "-".join(filter(None, (labels["role"], labels.get("island", ""))))
        if found == step:
            return str(target["targets"][0])
    return ""
