"""The panels of a dashboard with what Prometheus answers them; no drawing.

Reads the file that Grafana imports, and fills in its variables as Grafana does when everything is
chosen.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from tools.monitoring.pictures.prometheus import Prometheus, Series, Span
from tools.monitoring.promql import filled

Json = Mapping[str, Any]
_VALUES: Final = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")
_NAME: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Answer:
    """One series, and what a legend calls it."""

    name: str
    series: Series
    query: int
    """Which of the panel's queries it answers, from 0 on."""

    @property
    def last(self) -> float:
        """The last value that is a number; NaN if there is none."""
        known = (it for it in reversed(self.series.values) if not math.isnan(it))
        return next(known, math.nan)


@dataclass(frozen=True)
class Shown:
    """One panel with all that it shows."""

    panel: Json
    answers: tuple[Answer, ...] = ()
    moment: float | None = None
    """When, if a panel of one moment answers for another than the last."""

    @property
    def kind(self) -> str:
        """As Grafana calls it: `timeseries`, `row`..."""
        return str(self.panel["type"])

    @property
    def title(self) -> str:
        """Over it; with the moment, if that is not the last."""
        title = str(self.panel.get("title") or "")
        if self.moment is None:
            return title
        return f"{title} (at {datetime.fromtimestamp(self.moment, UTC):%H:%M:%S})"

    @property
    def defaults(self) -> Json:
        """Unit, thresholds, limits of its axis."""
        found: Json = self.panel["fieldConfig"]["defaults"]
        return found

    @property
    def unit(self) -> str:
        """Of its values."""
        return str(self.defaults.get("unit", "none"))

    @property
    def custom(self) -> Json:
        """How its curves look."""
        found: Json = self.defaults.get("custom") or {}
        return found

    @property
    def limits(self) -> list[tuple[float, str]]:
        """From which value on which colour."""
        steps = self.defaults["thresholds"]["steps"]
        lowest = float("-inf")
        return [(lowest if it["value"] is None else it["value"], it["color"]) for it in steps]


def chosen(
    document: Json, prometheus: Prometheus, span: Span, wanted: Mapping[str, str]
) -> dict[str, str]:
    """A value for each variable: what is wanted, if there is that; else all, or else the first.

    Raises:
        PrometheusError: it does not answer.
    """
    scrape = prometheus.scrape_seconds()
    found = {
        "__rate_interval": f"{max(4 * scrape, span.step + scrape):.0f}s",
        "__range": f"{max(span.end - span.start, 1):.0f}s",
    }
    for variable in document["templating"]["list"]:
        match = _VALUES.fullmatch(str(variable.get("query", "")))
        if match and variable.get("includeAll"):
            found[variable["name"]] = variable["allValue"]
        elif match:
            selector = filled(match["selector"], found)
            there = prometheus.values(match["label"], selector, span)
            asked = wanted.get(variable["name"], "")
            found[variable["name"]] = asked if asked in there else next(iter(there), asked)
    return found


def shown(
    document: Json, prometheus: Prometheus, span: Span, values: Mapping[str, str]
) -> list[Shown]:
    """Every panel with its answers, closed sections too.

    A panel of one moment, as a table, that has nothing to say of the last one, since pods have
    ended, says it of the last at which it had, of ten in the span; and says when that was.

    Raises:
        PrometheusError: it refuses a query.
    """
    return [_shown(panel, prometheus, span, values) for panel in _all(document)]


def _shown(panel: Json, prometheus: Prometheus, span: Span, values: Mapping[str, str]) -> Shown:
    found = Shown(panel, tuple(_answers(panel, prometheus, span, values)))
    targets = panel.get("targets") or ()
    if found.answers or not targets or not all(it.get("instant") for it in targets):
        return found
    for tenth in range(9, 0, -1):
        moment = span.start + (span.end - span.start) * tenth / 10
        earlier = tuple(_answers(panel, prometheus, replace(span, end=moment), values))
        if earlier:
            return Shown(panel, earlier, moment)
    return found


def _all(document: Json) -> Iterator[Json]:
    for panel in document["panels"]:
        yield panel
        yield from panel.get("panels") or ()


def _answers(
    panel: Json, prometheus: Prometheus, span: Span, values: Mapping[str, str]
) -> Iterator[Answer]:
    for number, target in enumerate(panel.get("targets") or ()):
        expr = filled(target["expr"], values)
        instant = target.get("instant")
        found = prometheus.at(expr, span.end) if instant else prometheus.over(expr, span)
        for series in found:
            yield Answer(_called(target.get("legendFormat", ""), series.labels), series, number)


def _called(legend: str, labels: Mapping[str, str]) -> str:
    if legend in ("", "__auto"):
        own = (f"{key}={value}" for key, value in sorted(labels.items()) if key != "__name__")
        return ", ".join(own)
    return _NAME.sub(lambda it: labels.get(it[1], ""), legend).strip()


def rows(of: Shown) -> tuple[list[str], list[list[Answer | str]]]:
    """Headings and rows of a table: labels, then a value for each query; "" where there is none.

    As Grafana merges frames: what agrees in all labels that both have is one row.
    """
    order = of.panel["transformations"][1]["options"]
    names: Mapping[str, str] = order["renameByName"]
    queries = len(of.panel["targets"])
    merged = _merged(of, queries)
    placed = sorted(names, key=order["indexByName"].__getitem__)
    labels = [key for key in placed if not key.startswith("Value")]
    values = [key for key in placed if key.startswith("Value")]
    kept = [index for index, key in enumerate(values) if key not in order["excludeByName"]]
    heads = [names[key] for key in labels] + [names[values[index]] for index in kept]
    return heads, [
        [
            *(row.labels.get(key, "") for key in labels),
            *(row.values.get(index, "") for index in kept),
        ]
        for row in merged
    ]


@dataclass
class _Row:
    labels: dict[str, str]
    values: dict[int, Answer]


def _merged(of: Shown, queries: int) -> list[_Row]:
    found: list[_Row] = []
    for query in range(queries):
        for answer in (it for it in of.answers if it.query == query):
            labels = {key: it for key, it in answer.series.labels.items() if key != "__name__"}
            fits = [row for row in found if query not in row.values and _agree(row.labels, labels)]
            for row in fits:
                row.labels |= labels
                row.values[query] = answer
            if not fits:
                found.append(_Row(labels, {query: answer}))
    return found


def _agree(some: Mapping[str, str], others: Mapping[str, str]) -> bool:
    shared = some.keys() & others.keys()
    return bool(shared) and all(some[key] == others[key] for key in shared)
