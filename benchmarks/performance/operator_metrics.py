"""What metrics cost the operator: a scrape, and a pass over a large job.

Many jobs of four islands that train, and one job of many islands that merge: values as the operator
keeps them, and no cluster. Scrapes with the series of objects and without alternate; a scrape is made
in a thread, as the operator does, while its event loop looks at the clock: the longest time that it
did not come to that is what a renewal of the lease may wait. Figures are medians of runs, CPU seconds of
the whole process; MB is 10^6 bytes. A target of 0.3 CPU-s is 2 % of a core where Prometheus scrapes every 15 s;
one of 5 us is a tenth of a pass.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from costs import cpu_of
from figures import Figure, Target, median, parser, tell, worst

from atoll_api import names
from atoll_api.status import Condition, Progress, StepStatus, TrainingJobStatus
from atoll_operator.kubernetes.lifecycle import begin, follow
from atoll_operator.kubernetes.measuring import Levels, Measurements
from atoll_operator.kubernetes.object_series import Shown
from atoll_operator.kubernetes.observing import Scene
from atoll_operator.kubernetes.projection import SeenPod, project_job, project_pod
from atoll_operator.kubernetes.training_jobs import JobView, view_of

ISLANDS = 4
SINCE = "2026-01-01T00:00:00Z"
TICK_SECONDS = 0.002


@dataclass
class Scrapes:
    """What some took, by run."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)
    """The longest that the event loop was kept from its work."""
    size_bytes: int = 0


def view(name: str) -> JobView:
    """A job that trains."""
    conditions = tuple(
        Condition(type=it, status="True", reason="R", message="", last_transition_time=SINCE)
        for it in ("Accepted", "Running")
    )
    islands = tuple(
        StepStatus(name=names.island_step(it), island=it, state="Running") for it in range(ISLANDS)
    )
    status = TrainingJobStatus(
        state="Running",
        conditions=conditions,
        islands=islands,
        islands_ready=f"0/{ISLANDS}",
        progress=Progress(percent=50),
    )
    metadata = {
        "namespace": "team",
        "name": name,
        "uid": f"uid-{name}",
        "creationTimestamp": SINCE,
    }
    spec = {"strategy": {"type": "IterativeMerge"}}
    return view_of({"metadata": metadata, "spec": spec, "status": status.to_document()})


def scene(islands: int) -> Scene:
    """One Job of all islands, each in a pod that runs."""
    name = names.islands_object("digits")
    labels = {names.LABEL_JOB: "digits", names.LABEL_ROLE: names.ISLAND}
    metadata = {"namespace": "team", "name": name, "uid": "uid", "labels": labels}
    spec = {"completionMode": "Indexed", "completions": islands}
    job = project_job({"metadata": metadata, "spec": spec})
    assert job is not None
    return Scene("digits", {name: job}, tuple(_pods(islands, name, labels)))


def _pods(islands: int, owner: str, labels: dict[str, str]) -> Iterator[SeenPod]:
    running = {"name": "atoll", "state": {"running": {"startedAt": SINCE}}}
    for index in range(islands):
        metadata = {
            "namespace": "team",
            "name": f"{owner}-{index}",
            "uid": f"uid-{index}",
            "labels": labels,
            "annotations": {names.LABEL_COMPLETION_INDEX: str(index)},
            "ownerReferences": [{"name": owner, "uid": "uid", "controller": True}],
        }
        pod = project_pod({"metadata": metadata, "status": {"containerStatuses": [running]}})
        assert pod is not None
        yield pod


async def scrape(measurements: Measurements, levels: Levels, found: Scrapes) -> None:
    """One, and what the event loop came to meanwhile."""
    cpu, began = time.process_time(), time.perf_counter()
    scraped = asyncio.create_task(asyncio.to_thread(measurements.exposition, levels))
    lag, last = 0.0, began
    while not scraped.done():
        await asyncio.sleep(TICK_SECONDS)
        now = time.perf_counter()
        lag, last = max(lag, now - last - TICK_SECONDS), now
    found.wall.append(time.perf_counter() - began)
    found.cpu.append(time.process_time() - cpu)
    found.lag.append(lag)
    found.size_bytes = len(scraped.result()[0])


def scrapes(jobs: int, runs: int) -> tuple[Scrapes, Scrapes]:
    """With the series of objects, and without."""
    levels = Levels(leads=True, jobs=[Shown(view(f"digits-{it}")) for it in range(jobs)])
    arms = [(Measurements("1", with_objects=it), Scrapes()) for it in (True, False)]

    async def all_of_them() -> None:
        for _ in range(runs):
            for measurements, found in arms:
                await scrape(measurements, levels, found)

    asyncio.run(all_of_them())
    return arms[0][1], arms[1][1]


def looks(islands: int, runs: int) -> list[float]:
    """CPU microseconds an island of a look at what has happened since the last one."""
    job, there = view("digits"), scene(islands)
    trail = begin(job, there)
    found = []
    for _ in range(runs):
        seconds, (_, occurred) = cpu_of(lambda: follow(trail, job, there, 0.0))
        assert not occurred
        found.append(seconds * 1e6 / islands)
    return found


def results(jobs: int, islands: int, runs: int) -> list[Figure]:
    """Every figure."""
    full, bare = scrapes(jobs, runs)
    what = f"scrape of {jobs} jobs of {ISLANDS} islands"
    return [
        median(what, full.cpu, "CPU-s", Target(0.3)),
        median(f"{what}, until it is there", full.wall, "s"),
        worst(f"{what}, event loop kept waiting", full.lag, "s", Target(1.0)),
        Figure(f"{what}, its size", full.size_bytes / 1e6, "MB"),
        median(f"{what}, objects off", bare.cpu, "CPU-s"),
        median(f"look at {islands} islands, each", looks(islands, runs * 3), "us", Target(5.0)),
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "a tenth of the jobs and islands, three runs").parse_args()
    found = results(100, 100, 3) if options.quick else results(1000, 1000, 9)
    tell(found, options.json)


if __name__ == "__main__":
    main()
