"""What a soak has shown: how each figure moves over its time, and whether it is flat.

A figure is the median of blocks of samples, so that neighbours in time, which are alike, count once;
its slope is Theil and Sen's, the median of all slopes between two blocks, with a confidence interval
of 95 %. What lies before the end of the warm-up is left out. Flat: the growth that the slope comes to
over all that is looked at is within a bound that is said beforehand, or the interval of the slope
has zero or less in it. A leak of a descriptor and 50 kB a job is found by the same rule
(`tests/integration/test_soak.py`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from figures import Figure, Target
from scipy.stats import theilslopes
from soak_jobs import expected

BLOCKS: Final = 40
"""Of samples; as many slopes as pairs of them."""
CONFIDENCE: Final = 0.95
WARM_SHARE: Final = 0.2
"""Of the time: caches and pools fill, and the hub has as many uploads that died as it keeps."""
FEWEST: Final = 8
"""Values that a slope is taken of."""
HOUR: Final = 3600.0

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """By how much a figure may grow in all, and still be called flat."""

    growth: float | None
    """None: it is told, and not judged."""
    unit: str


MEMORY: Final = Bound(2.0, "MB")
COUNT: Final = Bound(1.0, "")
POOLS: Final = Bound(3.0, "")
"""Threads are made when they are first wanted, up to the size of their pools."""
STORE: Final = Bound(8.0, "MB")
"""What a job has while it is under way; looks fall into any moment of it."""
UNJUDGED: Final = Bound(None, "MB")
"""What a process shares with others grows when those end; the islands of a harness are many in one
process, which no process of a job is."""
BOUNDS: Final[Mapping[str, Bound]] = {
    "rss_mb": MEMORY,
    "pss_mb": UNJUDGED,
    "own_mb": MEMORY,
    "descriptors": COUNT,
    "threads": POOLS,
}
LABELS: Final[Mapping[str, str]] = {
    "rss_mb": "RSS",
    "pss_mb": "PSS",
    "own_mb": "memory of no file",
    "descriptors": "descriptors",
    "threads": "threads",
}


@dataclass(frozen=True)
class Series:
    """One figure over time.

    Attributes:
        name: what it is.
        bound: what is flat.
        hours: since the beginning.
        jobs: that were over by then.
        values: then.
    """

    name: str
    bound: Bound
    hours: np.ndarray[Any, Any]
    jobs: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Trend:
    """How a series moves after the warm-up."""

    series: Series
    begin: float
    """Of what is looked at, in hours: the end of the warm-up."""
    per_hour: float
    low: float
    high: float
    """Of the slope an hour, with that confidence."""
    per_job: float
    growth: float
    """Over the time that is looked at."""
    first: float
    """Median of the first quarter."""
    last: float

    @property
    def flat(self) -> bool:
        """The verdict."""
        allowed = self.series.bound.growth
        return allowed is None or self.growth <= allowed or self.low <= 0.0


def trend(series: Series, warm_share: float = WARM_SHARE) -> Trend:
    """Of what lies after the warm-up."""
    begin = series.hours[0] + warm_share * (series.hours[-1] - series.hours[0])
    kept = series.hours >= begin
    hours, jobs, values = (_blocks(it[kept]) for it in (series.hours, series.jobs, series.values))
    per_hour, _, low, high = theilslopes(values, hours, CONFIDENCE)
    moved = len(np.unique(jobs)) > 1
    per_job = theilslopes(values, jobs, CONFIDENCE)[0] if moved else 0.0
    quarter = max(1, len(values) // 4)
    return Trend(
        series=series,
        begin=float(begin),
        per_hour=float(per_hour),
        low=float(low),
        high=float(high),
        per_job=float(per_job),
        growth=float(per_hour * (hours[-1] - hours[0])),
        first=float(np.median(values[:quarter])),
        last=float(np.median(values[-quarter:])),
    )


def _blocks(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    parts = np.array_split(values, min(BLOCKS, len(values)))
    return np.array([np.median(it) for it in parts])


def read(folder: Path) -> list[Line]:
    """What was seen; a line that was cut is the last."""
    lines = (folder / "record.jsonl").read_text().splitlines()
    return [json.loads(it) for it in lines if it.endswith("}")]


def all_series(lines: Sequence[Line]) -> Iterator[Series]:
    """All that has a trend."""
    samples = [it for it in lines if it["kind"] == "sample"]
    for process in ("operator", "hub", "islands"):
        own = [it for it in samples if it["process"] == process]
        for key, bound in BOUNDS.items():
            judged_as = UNJUDGED if process == "islands" and bound is MEMORY else bound
            yield _series(f"{process}: {LABELS[key]}", judged_as, own, "jobs", key)
    sizes = [it for it in lines if it["kind"] == "size"]
    page = Bound(4000.0, "bytes")  # a series that is seen for the first time; one a job is more
    yield _series("operator: metrics page", page, sizes, "operator", "operator_metrics_bytes")
    yield _series("hub: metrics page", page, sizes, "hub", "hub_metrics_bytes")
    yield _series("hub: store on disk", STORE, sizes, "hub", "hub_store_mb")
    jobs = [{**it, "jobs": number} for number, it in enumerate(_jobs(lines))]
    for story in sorted({it["story"] for it in jobs}):
        own = [it for it in jobs if it["story"] == story]
        yield _series(f"API writes of a job that is {story}", COUNT, own, "jobs", "writes")


def _jobs(lines: Sequence[Line]) -> list[Line]:
    return [it for it in lines if it["kind"] == "job"]


def _series(name: str, bound: Bound, lines: Sequence[Line], jobs: str, key: str) -> Series:
    return Series(
        name,
        bound,
        np.array([it["seconds"] / HOUR for it in lines]),
        np.array([it[jobs] for it in lines], dtype=float),
        np.array([it[key] for it in lines], dtype=float),
    )


def trends(lines: Sequence[Line]) -> list[Trend]:
    """Of all that was seen often enough."""
    return [trend(it) for it in all_series(lines) if len(it.values) >= FEWEST]


@dataclass(frozen=True)
class _Verdict(Figure):
    """Met when it is flat."""

    trend: Trend | None = None

    @property
    def met(self) -> bool | None:
        """Also where the interval has zero in it."""
        return None if self.target is None or self.trend is None else self.trend.flat


def judged(lines: Sequence[Line], found: Sequence[Trend]) -> list[Figure]:
    """The figures of a soak."""
    grown = [it for it in found if not it.flat]
    return [
        *_counts(lines),
        Figure("figures that are not flat", len(grown), "", Target(0)),
        *(figure for it in found for figure in _figures(it)),
    ]


def _counts(lines: Sequence[Line]) -> Iterator[Figure]:
    """How long, how much, and whether all went as it should."""
    hours = (lines[-1]["seconds"] - lines[0]["seconds"]) / HOUR
    yield Figure("time", hours, "h")
    yield Figure("jobs of the operator", len(_jobs(lines)), "")
    wrong = [it for it in _jobs(lines) if it["state"] not in expected(it["story"])]
    yield Figure(
        "jobs of the operator that ended otherwise than they should", len(wrong), "", Target(0)
    )
    yield Figure("jobs of the hub", sum(it["kind"] == "hub_job" for it in lines), "")
    idle = [60 * it["requests"] / it["took"] for it in lines if it["kind"] == "idle"]
    if idle:
        name = "operator: requests a minute when idle"
        yield Figure(f"{name}: at the beginning", idle[0], "")
        yield Figure(f"{name}: more of them at the end", idle[-1] - idle[0], "", Target(5))
    for it in lines:
        if it["kind"] == "left":
            yield Figure("objects of jobs that are left at the end", it["objects"], "", Target(0))
            name = "jobs that the operator still tells of at the end"
            yield Figure(name, it.get("told", 0), "", Target(0))


def _figures(it: Trend) -> Iterator[Figure]:
    """A slope, which is flat or not, and what it is made of."""
    name, unit = it.series.name, it.series.bound.unit
    allowed = it.series.bound.growth
    limit = None if allowed is None else Target(allowed)
    yield _Verdict(f"{name}: growth", it.growth, unit, limit, (), it)
    yield Figure(f"{name}: first quarter, median", it.first, unit)
    yield Figure(f"{name}: last quarter, median", it.last, unit)
    yield Figure(f"{name}: slope a thousand jobs", 1000 * it.per_job, unit)
