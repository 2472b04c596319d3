"""What a Prometheus answers to the queries of a dashboard, over a whole span."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.monitoring.pictures.__main__ import FOLDER
from tools.monitoring.pictures.answers import chosen
from tools.monitoring.pictures.prometheus import Prometheus, Span
from tools.monitoring.promql import filled

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """The queries of a dashboard, each with the title of its panel before it."""

    all: tuple[str, ...]
    empty: tuple[str, ...]

    def unexplained(self, *reasons: str) -> list[str]:
        """Those without an answer in which no reason stands."""
        return [it for it in self.empty if not any(reason in it for reason in reasons)]


def ask(prometheus: Prometheus, board: str, wanted: Mapping[str, str], span: Span) -> Asked:
    """Every query of a dashboard, of closed sections too."""
    document = json.loads((FOLDER / f"{board}.json").read_text())
    values = chosen(document, prometheus, span, wanted)
    queries = {
        f"{panel['title']}: {filled(target['expr'], values)}": filled(target["expr"], values)
        for panel in _panels(document)
        for target in panel.get("targets") or ()
    }
    empty = tuple(name for name, expr in queries.items() if not prometheus.over(expr, span))
    return Asked(tuple(queries), empty)


def health_of_rules(prometheus: Prometheus) -> dict[str, str]:
    """How each alert fares, once each has been evaluated."""
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"{prometheus.url}/api/v1/rules", timeout=30) as answer:
            groups = json.load(answer)["data"]["groups"]
        found = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        if "unknown" not in found.values() or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _panels(document: Json) -> Iterator[Json]:
    for panel in document["panels"]:
        yield panel
        yield from _panels(panel) if panel.get("panels") else ()
