"""Everything a query may ask for: the families of Atoll, and what Prometheus adds to them."""

from collections.abc import Mapping
from typing import Final

from atoll_operator import metrics as operators
from atoll_telemetry.families import Family, Kind, Label, counter, gauge
from atoll_worker import metrics as workers

TARGET_LABELS: Final = {
    "namespace": "Where the pod is; `local` for a run on this machine.",
    "pod": "Its name; on clusters.",
    "trainingjob": "Whose pod it is; not of operators.",
    "role": "What the process is: `hub`, `island`, `router`...",
    "island": "Which one; of islands alone.",
    "job": "Prometheus' own: the configuration that the target is of.",
    "instance": "Prometheus' own: where the target was asked.",
}
"""What the scrape configuration says of who a process is, by label."""

_ALERT_STATE: Final = Label("alertstate", "Whether it waits for its time.", ("pending", "firing"))

OTHERS: Final = (
    gauge("up", "1 where a target answers, else 0."),
    gauge("ALERTS", "1 for each alert there is.", Label("alertname", "Which."), _ALERT_STATE),
    counter("process_cpu_seconds_total", "Seconds of CPU of the process."),
    gauge("process_resident_memory_bytes", "Memory that the process holds."),
)
"""Of Prometheus and its client libraries, as far as they are used here."""

_UNITS: Final = (
    *("seconds", "bytes", "ratio", "steps", "samples", "tokens", "checkpoints", "rounds"),
    *(
        "artifacts",
        "uploads",
        "islands",
        "restarts",
        "trainingjobs",
        "requests",
        "retries",
        "polls",
    ),
)

OURS: Final = (*workers.ALL, *operators.ALL)
"""Every family of Atoll."""


def series_of(family: Family) -> Mapping[str, frozenset[str]]:
    """The labels of each series of a family, by its name in a query; without target labels."""
    own = frozenset(label.name for label in family.labels)
    if family.kind is not Kind.HISTOGRAM:
        return {family.name: own}
    return {
        f"{family.name}_bucket": own | {"le"},
        f"{family.name}_sum": own,
        f"{family.name}_count": own,
    }


FAMILY_OF: Final = {name: family for family in (*OURS, *OTHERS) for name in series_of(family)}
"""Families by the names of their series."""


def unit_of(family: Family) -> str:
    """Of its values, as its name says it; nothing where they have none, or count what help says."""
    if family.name.endswith(("_timestamp_seconds", "_created")):
        return "seconds since the epoch"
    last = family.name.removesuffix("_total").rpartition("_")[2]
    return last if last in _UNITS else ""
