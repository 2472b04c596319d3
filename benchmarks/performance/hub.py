"""What a hub takes from its machine: time to start, memory, and the patience of who calls it.

A hub process as a run on one machine starts it: its environment, a certificate authority, a
store on disk. Everything is measured from outside, by the operating system. Arms:

- start: from the spawn to the ready file, one start after another that warmed the page cache;
- idle: memory after the first housekeeping;
- watch: memory with 1,000 Watch streams, each on a connection of its own, as from 1,000
  processes (the target's), and all of them on four connections;
- publish: the peak of memory while 8 islands publish 64 MiB each;
- control calls: Report, Resolve and GetSnapshot, 30 a second of each, timed from when each was
  due; with nothing else, while 8 islands publish to this hub, and while they publish to another
  hub on this machine, which is what the load of the machine costs without the hub's doing.

Memory is resident (RSS), with every shared page counted in full; PSS is beside it. MB is 10^6
bytes, MiB 2^20.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
from commands import Answer, Commanded
from costs import cpu_seconds, forget_peak, memory_bytes
from figures import Figure, Target, median, parser, say, tell
from papers import JOB, new_authority, paper

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api import names, work_order
from atoll_api.hub_order import FolderStore
from atoll_api.names import Process
from atoll_api.work_order import HubOrder, JobIdentity
from atoll_operator.identity import Authority, Identity, files_of, write
from atoll_operator.local.environment import hub_environment, worker_environment

MIB: Final = 1 << 20
SMALL_BYTES: Final = 4096
PUBLISHERS: Final = 8
ARTIFACT_BYTES: Final = 64 * MIB
WATCHING_PROCESSES: Final = 4
PERIOD_SECONDS: Final = 1 / 30
SETTLE_SECONDS: Final = 1.5
"""More than the hub's housekeeping period."""
START_SECONDS: Final = 60.0
CALL_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    starts: int = 9
    rounds: int = 5
    streams: int = 1000
    seconds: float = 6.0
    """Of control calls, each round and arm."""


class Hub:
    """`python -m atoll_worker ORDER.json`, as the local runtime starts it."""

    def __init__(
        self,
        authority: Authority,
        folder: Path,
        *,
        seen: bool = False,
        neighbours: tuple[tuple[int, ...], ...] = (),
        program: tuple[str, ...] = ("-P", "-m", "atoll_worker"),
    ) -> None:
        """Start it, and wait until it serves.

        Args:
            authority: of all certificates.
            folder: of its own.
            seen: whether it shows metrics.
            neighbours: who reads whose snapshots.
            program: what Python runs; another one than the worker is a stand-in.
        """
        me = Process(JOB, names.HUB)
        write([authority.issue(me)], folder / "identity")
        ready = folder / "ready.json"
        order = HubOrder(
            job=JobIdentity(name=JOB, uid=JOB),
            step=names.HUB,
            identity=files_of(me, folder / "identity"),
            store=FolderStore(folder=str(folder / "store")),
            neighbours=neighbours,
            ready_file=str(ready),
        )
        path = folder / "order.json"
        path.write_text(work_order.dump(order))
        metrics = folder / "metrics.json"
        shown = ("--metrics-file", str(metrics)) if seen else ()
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, *program, str(path), *shown],
            stdin=subprocess.PIPE,
            env=hub_environment(os.environ),
        )
        self.ready_seconds = self._wait(ready, began)
        self.cpu_seconds = cpu_seconds(self._process.pid)
        self.address = str(json.loads(ready.read_text())["address"])
        self.metrics_port = 0
        """Where it is scraped; 0 if it is not."""
        if seen:
            said = str(json.loads(metrics.read_text())["address"])
            self.metrics_port = int(said.rpartition(":")[2])

    def _wait(self, ready: Path, began: float) -> float:
        while not ready.exists():
            if self._process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                self.close()
                raise SystemExit("the hub did not start: see above")
            time.sleep(0.001)
        return time.perf_counter() - began

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def memory(self) -> dict[str, float]:
        """RSS and PSS in MB."""
        lines = self._proc("smaps_rollup").read_text().splitlines()
        found = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
        return {kind: int(found[kind]) * 1024 / 1e6 for kind in ("Rss", "Pss")}

    def forget_peak(self) -> None:
        """The peak of memory starts at what is there now."""
        forget_peak(self._process.pid)

    def peak(self) -> float:
        """The highest RSS since then, in MB."""
        return memory_bytes("VmHWM", self._process.pid) / 1e6

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self._process.pid}/{name}")


class Client(Commanded):
    """One process of `hub_clients.py`."""

    def __init__(self, authority: Authority, index: int) -> None:
        super().__init__("hub_clients.py", environment=worker_environment(os.environ, 1, ()))
        self.write([paper(authority, "island", index), paper(authority, "evaluate")])


@contextmanager
def running(authority: Authority) -> Iterator[Hub]:
    """A hub over an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(authority, Path(folder))
        try:
            yield hub
        finally:
            hub.close()


@contextmanager
def clients(authority: Authority, count: int) -> Iterator[list[Client]]:
    """Processes that set upon it, each with the certificate of an island of its own."""
    with ExitStack() as stack:
        made = [Client(authority, index) for index in range(count)]
        for one in made:
            stack.callback(one.close)
        yield made


def everybody(crowd: Sequence[Client], *command: object) -> list[Answer]:
    """All do the same at once; their answers."""
    return [wait() for wait in [one.ask(*command) for one in crowd]]


def starts(authority: Authority, effort: Effort) -> list[Figure]:
    """Time to start, and memory of a hub that does nothing."""
    seconds, cpu, memory = [], [], []
    for number in range(effort.starts + 1):
        say(f"start {number} of {effort.starts}")
        with running(authority) as hub:
            time.sleep(SETTLE_SECONDS)
            if number:  # the first one reads its files from the disk
                seconds.append(hub.ready_seconds)
                cpu.append(hub.cpu_seconds)
                memory.append(hub.memory())
    return [
        median("ready: median", seconds, "s", Target(0.4)),
        median("ready: CPU: median", cpu, "s"),
        *memory_figures("idle", memory, 60),
    ]


def watches(authority: Authority, effort: Effort) -> list[Figure]:
    """Memory of a hub that many watch."""
    each = effort.streams // WATCHING_PROCESSES
    found = []
    for label, (connections, streams), target in (
        ("a connection each", (each, 1), 160),
        ("four connections", (1, each), None),
    ):
        memory, seconds = [], []
        for number in range(effort.rounds):
            say(f"watch, {label}: round {number + 1} of {effort.rounds}")
            with running(authority) as hub, clients(authority, WATCHING_PROCESSES + 2) as crowd:
                one, two, *watching = crowd
                one.ask("publish", hub.address, SMALL_BYTES, 0, "experts/0")()
                took = everybody(watching, "watch", hub.address, connections, streams)
                seconds.append(max(it["seconds"] for it in took))
                time.sleep(SETTLE_SECONDS)
                memory.append(hub.memory())
                # Each of them must be served to the end, or its memory was saved by none.
                two.ask("publish", hub.address, SMALL_BYTES, 0, "experts/1")()
                everybody(watching, "hear")
        name = f"{effort.streams:,} Watch streams, {label}"
        found += memory_figures(name, memory, target)
        found.append(median(f"{name}: time to open", seconds, "s"))
    return found


def publishing(authority: Authority, effort: Effort) -> list[Figure]:
    """Peak of memory while many publish, and what control calls take meanwhile."""
    peaks: list[float] = []
    latencies = {arm: Latencies() for arm in ARMS}
    with clients(authority, PUBLISHERS) as crowd, running(authority) as other:
        for number in range(effort.rounds):
            say(f"publish and control calls: round {number + 1} of {effort.rounds}")
            with running(authority) as hub:
                crowd[0].ask("publish", hub.address, SMALL_BYTES, 0, "experts/0")()
                everybody(crowd, "publish", other.address, ARTIFACT_BYTES, 0)  # warms them up
                hub.forget_peak()
                everybody(crowd, "publish", hub.address, ARTIFACT_BYTES, 0)
                peaks.append(hub.peak())
                order = ARMS if number % 2 == 0 else ARMS[::-1]
                for arm in order:
                    load = {"idle": None, "busy": hub, "beside": other}[arm]
                    _call(authority, effort, hub, latencies[arm], crowd if load else (), load)
    name = f"{PUBLISHERS} publishers of {ARTIFACT_BYTES // MIB} MiB: peak of RSS"
    found = [median(name, peaks, "MB", Target(128))]
    for arm, label in ARM_LABELS.items():
        found += latencies[arm].figures(label, Target(50) if arm == "busy" else None)
    return found


ARM_LABELS: Final = {
    "idle": "control calls, nothing else",
    "busy": f"control calls, {PUBLISHERS} islands publish",
    "beside": f"control calls, {PUBLISHERS} islands publish to another hub",
}
ARMS: Final = tuple(ARM_LABELS)


def _call(
    authority: Authority,
    effort: Effort,
    hub: Hub,
    latencies: "Latencies",
    crowd: Sequence[Client],
    load: Hub | None,
) -> None:
    """Control calls for a while, under the load of a crowd that outlasts them."""
    seconds = effort.seconds + 1.0
    address = load.address if load else ""
    answers = [one.ask("publish", address, ARTIFACT_BYTES, seconds) for one in crowd]
    time.sleep(0.5)  # they are at it
    with callers(authority, hub.address) as calls:
        latencies.add({kind: [] for kind in calls})
        threads = [
            threading.Thread(target=_call_until, args=(call, latencies.rounds[-1][kind], effort))
            for kind, call in calls.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for wait in answers:
        wait()


def _call_until(call: Callable[[], object], found: list[float], effort: Effort) -> None:
    """Milliseconds of each call since it was due; one that is late makes the next ones late."""
    due = time.perf_counter()
    end = due + effort.seconds
    while due < end:
        time.sleep(max(0.0, due - time.perf_counter()))
        call()
        found.append((time.perf_counter() - due) * 1e3)
        due += PERIOD_SECONDS


@contextmanager
def callers(authority: Authority, address: str) -> Iterator[dict[str, Callable[[], object]]]:
    """One call of each kind, by whom it is made in a run; connected."""
    with ExitStack() as stack:
        island, operator = (
            stack.enter_context(_channel(address, authority.issue(Process(JOB, role))))
            for role in ("island", names.OPERATOR)
        )
        report = progress_pb.StepProgress(step_name="island-0", done_count=1, total_count=9)
        mine = progress_grpc.ProgressServiceStub(island)
        exchange = exchange_grpc.ExchangeServiceStub(island)
        all_ = progress_grpc.ProgressServiceStub(operator)
        calls: dict[str, Callable[[], object]] = {
            "Report": lambda: mine.Report(
                progress_pb.ReportRequest(progress=report), timeout=CALL_SECONDS
            ),
            "Resolve": lambda: exchange.Resolve(
                pb.ResolveRequest(ref="experts/0"), timeout=CALL_SECONDS
            ),
            "GetSnapshot": lambda: all_.GetSnapshot(
                progress_pb.GetSnapshotRequest(), timeout=CALL_SECONDS
            ),
        }
        for call in calls.values():
            call()
        yield calls


def _channel(address: str, identity: Identity) -> grpc.Channel:
    proof = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
    host = Process(JOB, names.HUB).host
    return grpc.secure_channel(address, proof, (("grpc.ssl_target_name_override", host),))


@dataclass
class Latencies:
    """Milliseconds of the calls of one arm, by kind, a round after another."""

    rounds: list[dict[str, list[float]]] = field(default_factory=list)

    def add(self, calls: dict[str, list[float]]) -> None:
        """Open a round."""
        self.rounds.append(calls)

    def figures(self, label: str, target: Target | None) -> list[Figure]:
        """Of all calls of all rounds; and the p99 of each kind."""
        pooled = [[one for kind in it.values() for one in kind] for it in self.rounds]
        everything = [one for calls in pooled for one in calls]
        found = [
            Figure(f"{label}: p50", percentile(everything, 50), "ms"),
            Figure(
                f"{label}: p99",
                percentile(everything, 99),
                "ms",
                target,
                [percentile(calls, 99) for calls in pooled],
            ),
        ]
        for kind in self.rounds[0]:
            runs = [percentile(it[kind], 99) for it in self.rounds]
            of_kind = [one for it in self.rounds for one in it[kind]]
            found.append(Figure(f"{label}: {kind}: p99", percentile(of_kind, 99), "ms", None, runs))
        return found


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many of a hundred stay below."""
    return statistics.quantiles(values, n=100)[percent - 1]


def memory_figures(
    label: str, runs: Sequence[dict[str, float]], target: float | None
) -> list[Figure]:
    """RSS, which the target is about, and PSS."""
    limits = {"Rss": None if target is None else Target(target)}
    return [
        median(f"{label}: {kind.upper()}", [it[kind] for it in runs], "MB", limits.get(kind))
        for kind in ("Rss", "Pss")
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "100 streams and few rounds").parse_args()
    effort = Effort(3, 1, 100, 3.0) if options.quick else Effort()
    authority = new_authority()
    say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found = [one for measure in (starts, watches, publishing) for one in measure(authority, effort)]
    tell(found, options.json)


if __name__ == "__main__":
    main()
