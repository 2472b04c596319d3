"""Whether anything grows where one operator and one hub serve job after job for hours.

Jobs in a row on one operator process, the one that the chart starts, against an API server of its
own (etcd and kube-apiserver, which `make cluster-up` builds): some complete, some fail, some are
deleted in the middle, some suspended and resumed. Controllers, kubelets and hubs are simulated
(`simulated_cluster.py`); the operator asks those hubs over gRPC with mutual TLS. Beside it jobs in
a row on one hub process, as the local runtime starts it: three islands connect, publish, fetch,
hold, watch, excuse, report, drop and go; a merge and an evaluation come after them, the operator
takes away what is bound, and now and then an island is killed in the middle of an upload.

Every few seconds: memory (RSS, PSS), descriptors and threads of both processes, the size of their
metrics, and what is on the disk. For each job: the writes that the operator asked the API server
for, by its audit log. In pauses without jobs: the operator's requests a minute.

`soak_trends.py` says which figures are flat, and how that is decided. What was seen is kept in
`--folder`, a line as it comes; `--again FOLDER` judges it anew. SOAK_LEAK=1,50000 in the environment
plants a leak of one descriptor and 50 kB a job in processes of the harness that stand in for the
operator and the hub: it has to be found.
"""

import asyncio
import json
import os
import signal
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TextIO

from figures import parser, say, tell
from own_api_server import Found, api_server
from planted_leaks import VARIABLE
from process_samples import folder_bytes, sample
from soak_hub import HubSoak, running_hub
from soak_jobs import expected
from soak_operator import OperatorSoak, connected, lane

from atoll_telemetry import logs


@dataclass(frozen=True)
class Effort:
    """How much of it."""

    seconds: float
    every_seconds: float
    """Between two samples."""
    lanes: int
    """Jobs of the operator at a time."""
    step_seconds: float
    """Of each step of such a job."""
    hub_seconds: float
    """From the beginning of a job of the hub to that of the next."""
    victims: int
    """Of so many jobs of the hub one has an island that is killed."""
    pause_seconds: float
    """Without jobs, to count the requests of an operator that has nothing to do."""
    pauses: int
    """Beside the one before the first job."""
    fresh: bool = True
    """Whether each killed upload is one of its own, which the hub keeps for ten minutes."""


QUICK: Final = Effort(150.0, 1.0, 4, 0.2, 0.1, 10, 12.0, 1, fresh=False)


def full(hours: float, at_once: int) -> Effort:
    """One job at a time and all that is around it take a third of a core."""
    return Effort(3600 * hours, 15.0, at_once, 0.8, 6.0, 4, 120.0, max(1, round(2 * hours)))


class Record:
    """Lines of JSON, as they come."""

    def __init__(self, folder: Path) -> None:
        self._file: TextIO = (folder / "record.jsonl").open("a", buffering=1)
        self._began = time.monotonic()

    def put(self, kind: str, **what: object) -> None:
        """Something was seen."""
        line = {"kind": kind, "seconds": round(time.monotonic() - self._began, 3), **what}
        self._file.write(json.dumps(line) + "\n")


@dataclass
class Counts:
    """Jobs that are over."""

    operator: int = 0
    hub: int = 0


class Soak:
    """Both parts, side by side."""

    def __init__(
        self, effort: Effort, record: Record, operator: OperatorSoak, hub: HubSoak, found: Found
    ) -> None:
        self._effort = effort
        self._record = record
        self._operator = operator
        self._hub = hub
        self._found = found
        self._counts = Counts()
        self._going = asyncio.Event()
        self._free = asyncio.Event()
        self._until = time.monotonic() + effort.seconds

    async def run(self) -> None:
        """Until its time is over."""
        await self._pause()
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look())
            pausing = group.create_task(self._pause_now_and_then())
            async with asyncio.TaskGroup() as works:
                for _ in range(self._effort.lanes):
                    works.create_task(lane(self._operator, self._until, self._going))
                works.create_task(self._hub_jobs())
            looking.cancel()
            pausing.cancel()
        await self._pause()
        self._take_settled()
        objects, told = await self._operator.cluster.left(), self._operator.told()
        self._record.put("left", objects=objects, told=told)

    async def _pause_now_and_then(self) -> None:
        every = self._effort.seconds / (self._effort.pauses + 1)
        self._going.set()
        while True:
            await asyncio.sleep(every)
            self._going.clear()
            await self._operator.idle.wait()
            await self._pause()
            self._going.set()

    async def _pause(self) -> None:
        """Nothing but the operator asks, and nobody asks it."""
        await asyncio.sleep(min(10.0, self._effort.pause_seconds))
        self._operator.read_audit()
        before, began = self._operator.asked.copy(), time.monotonic()
        await asyncio.sleep(self._effort.pause_seconds)
        self._operator.read_audit()
        asked = self._operator.asked - before
        took = time.monotonic() - began
        self._record.put("idle", took=round(took, 3), requests=asked.total(), asked=dict(asked))

    async def _look(self) -> None:
        while True:
            self._take_settled()
            await asyncio.to_thread(self._sample)
            await asyncio.sleep(self._effort.every_seconds)

    def _take_settled(self) -> None:
        for it in self._operator.settled():
            self._counts.operator += 1
            self._record.put("job", **asdict(it.ran), writes=it.writes, events=it.events)
            if it.ran.state not in expected(it.ran.story):
                say(f"{it.ran.name} ({it.ran.story}) ended as {it.ran.state!r}")

    def _sample(self) -> None:
        counts = {"operator": self._counts.operator, "hub": self._counts.hub}
        for name, pid in {"operator": self._operator.pid, **self._hub.pids}.items():
            jobs = counts.get(name, self._counts.hub)
            self._record.put("sample", process=name, jobs=jobs, **asdict(sample(pid)))
        with suppress(OSError):  # a scrape that came too late, on a machine with other work
            self._record.put(
                "size",
                **counts,
                hub_store_mb=folder_bytes(self._hub.store) / 1e6,
                etcd_mb=folder_bytes(self._found.data) / 1e6,
                operator_metrics_bytes=len(self._operator.exposition()),
                hub_metrics_bytes=self._hub.exposition_bytes(),
            )

    async def _hub_jobs(self) -> None:
        number = 0
        while time.monotonic() < self._until:
            began = time.monotonic()
            answer = await asyncio.to_thread(self._hub.job, number)
            if number % self._effort.victims == self._effort.victims - 1:
                await asyncio.to_thread(self._hub.kill_one, number if self._effort.fresh else 0)
            number += 1
            self._counts.hub = number
            took = time.monotonic() - began
            self._record.put("hub_job", number=number, took=round(took, 3), **answer)
            await asyncio.sleep(max(0.0, self._effort.hub_seconds - took))


async def soak(effort: Effort, folder: Path, found: Found, hub: HubSoak) -> None:
    """Watch both for so long; what is seen is in the folder."""
    record = Record(folder)
    async with connected(found) as api:
        operator = OperatorSoak(api, found, folder, effort.step_seconds)
        leak = {VARIABLE: os.environ.get(VARIABLE, "")} if os.environ.get(VARIABLE) else {}
        async with operator.running(free_port(), leak):
            pids = {"operator": operator.pid, **hub.pids, **found.pids}
            say(f"{pids}, {folder}")
            record.put("began", pids=pids, effort=asdict(effort), leak=leak)
            await Soak(effort, record, operator, hub, found).run()


def watch(effort: Effort, folder: Path) -> None:
    """All of it, in a folder that may be new."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault(logs.ENV_LEVEL, "warning")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end what it has started
    with api_server(folder) as found, running_hub() as hub:
        asyncio.run(soak(effort, folder, found, hub))


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def main() -> None:
    """Watch, judge, and draw."""
    options = parser(__doc__, "two and a half minutes, as fast as it goes")
    options.add_argument("--hours", type=float, default=2.0)
    options.add_argument("--at-once", type=int, default=1, metavar="N", help="jobs of the operator")
    options.add_argument("--folder", type=Path, help="for what was seen; else a new one")
    options.add_argument("--again", type=Path, metavar="FOLDER", help="judge what was seen before")
    chosen = options.parse_args()
    folder = chosen.again or chosen.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    if chosen.again is None:
        watch(QUICK if chosen.quick else full(chosen.hours, chosen.at_once), folder)
    from soak_plot import draw  # noqa: PLC0415 - not while it watches: they are large
    from soak_trends import judged, read, trends  # noqa: PLC0415

    lines = read(folder)
    found = trends(lines)
    tell(judged(lines, found), chosen.json)
    picture = chosen.json.with_suffix(".png") if chosen.json else folder / "soak.png"
    draw(found, picture)
    say(f"{picture}, {folder}")


if __name__ == "__main__":
    main()
