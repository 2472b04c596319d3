"""A hub whose thousand islands all report how far they are, and whose operator asks it.

The hub is a process as the local runtime starts it; each island has a connection of mutual TLS and a
certificate of its own, and reports every few seconds, every fifth time with what it has counted. They
live in four processes. The operator asks for everything as often as it does on a cluster, over a new
connection each time; another client makes a control call (a report of its own) 20 times a second, timed
from when it was due. Rounds with that many islands alternate with rounds with few, which report at the same rate
in all: so what the number of islands costs is apart from what reports cost.

Memory is resident (RSS), with every shared page counted in full; MB is 10^6 bytes.
"""

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import grpc
from commands import Commanded
from costs import cpu_seconds
from figures import Figure, Target, median, parser, say, tell
from hub import Hub, percentile, running
from papers import JOB, new_authority, paper

from atoll.progress.v1 import progress_pb2 as pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api import names
from atoll_api.names import Process
from atoll_operator import progress
from atoll_operator.identity import Authority
from atoll_operator.local.environment import worker_environment

Call = Callable[[], object]

PROCESSES: Final = 4
FEW: Final = 40
ASK_SECONDS: Final = 5.0
"""Between two questions of the operator."""
CALL_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Effort:
    """How much of it."""

    islands: int = 1000
    every_seconds: float = 4.0
    """Between two reports of an island, where there are that many."""
    seconds: float = 20.0
    """Of each round."""
    rounds: int = 3


@dataclass
class Seen:
    """Of one arm; a value for each round."""

    rss: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)
    cpu_share: list[float] = field(default_factory=list)
    cpu_a_call: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    """Milliseconds of each."""
    calls: list[float] = field(default_factory=list)
    questions: list[float] = field(default_factory=list)
    answer_bytes: int = 0


class Timed:
    """Calls on a thread, until it is closed: milliseconds of each since it was due."""

    def __init__(self, call: Call, every_seconds: float) -> None:
        self.found: list[float] = []
        self._call = call
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._over.wait(max(0.0, due - time.perf_counter())):
            self._call()
            self.found.append(1e3 * (time.perf_counter() - due))
            due += self._every


@contextmanager
def reporters(authority: Authority, islands: int) -> Iterator[list[Commanded]]:
    """Processes that have so many islands together."""
    with ExitStack() as stack:
        made = []
        for first in range(PROCESSES):
            environment = worker_environment(os.environ, 1, ())
            one = Commanded("hub_reporters.py", environment=environment)
            stack.callback(one.close)
            own = range(first, islands, PROCESSES)
            one.write([paper(authority, names.ISLAND, index) for index in own])
            made.append(one)
        yield made


def one_round(authority: Authority, effort: Effort, islands: int, every: float, seen: Seen) -> None:
    """A hub, its islands, and what they take."""
    with running(authority) as hub, reporters(authority, islands) as crowd:
        for wait in [it.ask("open", hub.address) for it in crowd]:
            wait()
        time.sleep(SETTLE_SECONDS)
        cpu, began = cpu_seconds(hub.pid), time.monotonic()
        with controlled(authority, hub) as control_call, asked(authority, hub) as question:
            answers = [it.ask("report", effort.seconds, every) for it in crowd]
            with (
                Timed(control_call, CALL_SECONDS) as control,
                Timed(question, ASK_SECONDS) as asking,
            ):
                reports = [one for wait in answers for one in wait()["milliseconds"]]
        spent, took = cpu_seconds(hub.pid) - cpu, time.monotonic() - began
        memory = hub.memory()
        seen.rss.append(memory["Rss"])
        seen.pss.append(memory["Pss"])
        seen.cpu_share.append(spent / took)
        seen.cpu_a_call.append(1e3 * spent / (len(reports) + len(control.found)))
        seen.reports += reports
        seen.calls += control.found
        seen.questions += asking.found
        seen.answer_bytes = answer_bytes(authority, hub)


@contextmanager
def asked(authority: Authority, hub: Hub) -> Iterator[Call]:
    """The operator's question, as it asks it on a cluster."""
    identity = authority.issue(Process(JOB, names.OPERATOR))
    loop = asyncio.new_event_loop()
    try:
        yield lambda: loop.run_until_complete(progress.snapshot(hub.address, identity))
    finally:
        loop.close()


@contextmanager
def controlled(authority: Authority, hub: Hub) -> Iterator[Call]:
    """A small call, of a client that is connected."""
    report = pb.ReportRequest(progress=pb.StepProgress(step_name=names.ROUTER, total_count=9))
    with channel(authority, hub, names.ROUTER) as opened:
        stub = progress_grpc.ProgressServiceStub(opened)
        stub.Report(report, timeout=20)
        yield lambda: stub.Report(report, timeout=20)


def answer_bytes(authority: Authority, hub: Hub) -> int:
    """Of the answer to the operator."""
    with channel(authority, hub, names.OPERATOR) as opened:
        stub = progress_grpc.ProgressServiceStub(opened)
        return int(stub.GetSnapshot(pb.GetSnapshotRequest(), timeout=20).ByteSize())


def channel(authority: Authority, hub: Hub, role: str) -> grpc.Channel:
    """To the hub, as that process."""
    it = authority.issue(Process(JOB, role))
    proof = grpc.ssl_channel_credentials(it.authority, it.key, it.certificate)
    options = (("grpc.ssl_target_name_override", Process(JOB, names.HUB).host),)
    return grpc.secure_channel(hub.address, proof, options)


def figures(label: str, seen: Seen, *, judged: bool) -> list[Figure]:
    """Of an arm."""
    return [
        median(f"{label}: RSS", seen.rss, "MB", Target(160) if judged else None),
        median(f"{label}: PSS", seen.pss, "MB"),
        median(f"{label}: CPU of the hub", seen.cpu_share, "cores"),
        median(
            f"{label}: CPU of the hub a call, with the operator's questions", seen.cpu_a_call, "ms"
        ),
        *_times(f"{label}: report", seen.reports, Target(50) if judged else None),
        *_times(f"{label}: control call", seen.calls, Target(50) if judged else None),
        Figure(f"{label}: question of the operator: median", _middle(seen.questions), "ms"),
        Figure(f"{label}: question of the operator: most", max(seen.questions), "ms"),
        Figure(f"{label}: answer to the operator", seen.answer_bytes / 1e3, "kB"),
    ]


def _times(label: str, found: Sequence[float], target: Target | None) -> list[Figure]:
    return [
        Figure(f"{label}: p50", percentile(found, 50), "ms"),
        Figure(f"{label}: p99", percentile(found, 99), "ms", target),
    ]


def _middle(found: Sequence[float]) -> float:
    return statistics.median(found)


def measure(effort: Effort) -> list[Figure]:
    """Many and few, in turns."""
    authority = new_authority()
    few, many = Seen(), Seen()
    for number in range(effort.rounds):
        say(f"round {number + 1} of {effort.rounds}")
        one_round(authority, effort, FEW, effort.every_seconds * FEW / effort.islands, few)
        one_round(authority, effort, effort.islands, effort.every_seconds, many)
    rate = effort.islands / effort.every_seconds
    return [
        *figures(f"{effort.islands:,} islands, {rate:g} reports/s", many, judged=True),
        *figures(f"{FEW} islands, {rate:g} reports/s", few, judged=False),
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "100 islands, one short round")
    options.add_argument("--islands", type=int, default=1000)
    chosen = options.parse_args()
    say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    quick = Effort(islands=min(chosen.islands, 100), every_seconds=0.5, seconds=8.0, rounds=1)
    tell(measure(quick if chosen.quick else Effort(islands=chosen.islands)), chosen.json)


if __name__ == "__main__":
    main()
