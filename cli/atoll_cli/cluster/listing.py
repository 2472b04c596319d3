"""Many jobs, one a line. Pure."""

from collections.abc import Sequence
from typing import Any

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from atoll_cli.cluster.jobs import JobOnCluster
from atoll_cli.live import duration

_STYLES = {"Complete": "green", "Failed": "bold red", "Suspended": "yellow", "Pending": "yellow"}
_UNREADABLE = "?"
"""The state of a job whose status is of another release."""


_WORDS = ("NAMESPACE", "NAME", "STATE", "STRATEGY")
_NUMBERS = ("ISLANDS", "PROGRESS", "LEFT", "AGE")


def table(jobs: Sequence[JobOnCluster], now: float, *, with_namespace: bool) -> Table:
    """A row a job; `now` in seconds since the epoch. Where there is no room, only words are cut."""
    first = 0 if with_namespace else 1
    headings = (*_WORDS, *_NUMBERS)[first:]
    rows = [_row(job, now)[first:] for job in jobs]
    grid = Table(box=None, pad_edge=False, expand=True)
    for heading, *cells in zip(headings, *rows, strict=False):  # a row has one more: words
        width = max(map(len, (heading, *cells)))
        side: JustifyMethod = "left" if heading in _WORDS else "right"
        grid.add_column(heading, justify=side, min_width=width, no_wrap=True)
    grid.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for row in rows:
        grid.add_row(*row)
    return grid


def document(job: JobOnCluster) -> dict[str, Any]:
    """A job and its status, for machines."""
    namespace, name = job.view.key
    status = job.view.status.to_document() if job.view.status else None
    return {"namespace": namespace, "name": name, "status": status}


def _row(job: JobOnCluster, now: float) -> tuple[Text, ...]:
    status = job.view.status
    unknown = _UNREADABLE if job.heard else "Pending"
    state = "Deleting" if job.view.deleting else status.state if status else unknown
    eta = status.progress.eta_seconds if status else None
    return (
        Text(job.view.key.namespace),
        Text(job.name),
        Text(state, style=_STYLES.get(state, "")),
        Text(job.view.strategy),
        Text(status.islands_ready if status else ""),
        Text(f"{status.progress.percent} %" if status else ""),
        Text(duration(eta) if eta else ""),
        Text(age(now - job.view.created_at)),
        Text(_trouble(job), style="dim"),
    )


def age(seconds: float) -> str:
    """As kubectl has it: `8s`, `3m`, `2h`, `5d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def _trouble(job: JobOnCluster) -> str:
    """What is wrong with it, or what it waits for."""
    status = job.view.status
    if status is None:
        return "" if job.heard else "no operator has said anything of it yet"
    bad = [it for it in status.conditions if it.status == "True" and it.type in _BAD]
    waiting = [
        it for it in (*status.steps, *status.islands) if it.state == "Pending" and it.message
    ]
    said = [it.message for it in bad] + [f"{it.name}: {it.message}" for it in waiting]
    return said[0] if said else ""


_BAD = ("Failed", "Degraded", "Suspended")
