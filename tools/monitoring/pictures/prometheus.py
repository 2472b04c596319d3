"""Questions to a Prometheus over its HTTP API."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT_SECONDS: Final = 30.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+)(ms|s|m|h)")
_INTERVAL: Final = re.compile(r"^ *scrape_interval: (\S+)$", re.MULTILINE)


class PrometheusError(Exception):
    """It does not answer, or refuses a question; says what it said."""


@dataclass(frozen=True)
class Series:
    """One answer: values over time, in seconds since the epoch."""

    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Span:
    """What is looked at, in seconds since the epoch.

    Attributes:
        start: first moment.
        end: last moment.
        step: seconds between two values of a curve.
    """

    start: float
    end: float
    step: float


@dataclass(frozen=True)
class Prometheus:
    """One server, by its address."""

    url: str

    def over(self, expr: str, span: Span) -> list[Series]:
        """What `expr` was at each step.

        Raises:
            PrometheusError: it refuses, or does not answer.
        """
        asked = {"query": expr, "start": span.start, "end": span.end, "step": span.step}
        found = self._ask("query_range", asked)["result"]
        return [_series(it["metric"], it["values"]) for it in found]

    def at(self, expr: str, moment: float) -> list[Series]:
        """What `expr` was at a moment, one value a series.

        Raises:
            PrometheusError: as `over`.
        """
        found = self._ask("query", {"query": expr, "time": moment})
        if found["resultType"] == "scalar":
            return [_series({}, [found["result"]])]
        return [_series(it["metric"], [it["value"]]) for it in found["result"]]

    def values(self, label: str, selector: str, span: Span) -> list[str]:
        """The values of a label among series, as Grafana's `label_values`.

        Raises:
            PrometheusError: as `over`.
        """
        asked = {"match[]": selector, "start": span.start, "end": span.end}
        return sorted(map(str, self._ask(f"label/{label}/values", asked)))

    def scrape_seconds(self) -> float:
        """The longest time between two scrapes that its configuration knows.

        Raises:
            PrometheusError: as `over`.
        """
        said = str(self._ask("status/config", {})["yaml"])
        return max(map(_seconds, _INTERVAL.findall(said)), default=60.0)

    def _ask(self, what: str, arguments: Mapping[str, Any]) -> Any:
        query = urllib.parse.urlencode(arguments)
        address = f"{self.url.rstrip('/')}/api/v1/{what}?{query}"
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise PrometheusError(f"{what}: {said}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PrometheusError(f"{self.url} does not answer as Prometheus: {error}") from error


def _series(labels: Mapping[str, str], pairs: Sequence[tuple[float, str]]) -> Series:
    times = tuple(float(time) for time, _ in pairs)
    return Series(labels, times, tuple(float(value) for _, value in pairs))


def _seconds(duration: str) -> float:
    """Of a duration as Prometheus writes it: `15s`, `1m30s`."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))
