"""Numbers with their unit as Grafana writes them: a few digits, a prefix, a word."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL: Final = ("B/s", "kB/s", "MB/s", "GB/s", "TB/s")
_SHORT: Final = ("", "K", "Mil", "Bil", "Tri")
_SPANS: Final = (
    *((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")),
    (1e-6, "µs"),
)


def said(value: float, unit: str) -> str:
    """A value in a unit of Grafana."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if unit in _SAID:
        return _SAID[unit](value)
    return _digits(value) + (unit.removeprefix("suffix:") if unit.startswith("suffix:") else "")


def _digits(value: float) -> str:
    """Three that count, or all of a whole number."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def _scaled(value: float, base: float, words: tuple[str, ...]) -> str:
    power = 0
    while abs(value) >= base and power < len(words) - 1:
        value, power = value / base, power + 1
    return f"{_digits(value)} {words[power]}".rstrip()


def _duration(value: float) -> str:
    if abs(value) < _SPANS[-1][0]:
        return "0 s"
    seconds, word = next(it for it in _SPANS if abs(value) >= it[0])
    return f"{_digits(value / seconds)} {word}"


def _moment(milliseconds: float) -> str:
    """The time of a day, in UTC; of 0, none."""
    if not milliseconds:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S")


_SAID: Final[Mapping[str, Callable[[float], str]]] = {
    "percentunit": lambda it: f"{_digits(it * 100)} %",
    "s": _duration,
    "bytes": lambda it: _scaled(it, 1024.0, _BINARY),
    "Bps": lambda it: _scaled(it, 1000.0, _DECIMAL),
    "short": lambda it: _scaled(it, 1000.0, _SHORT),
    "sci": lambda it: f"{it:.3g}",
    "dateTimeAsIso": _moment,
}
