"""The islands that benchmarks/performance/hub_progress.py lets report to a hub, some hundreds each.

A connection and a certificate each, as from so many processes. Reads commands from standard input,
one JSON list a line, and answers each by one JSON object; ends when its standard input does.
"""

import asyncio
import json
import os
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any, Final

import grpc
from commands import Answer, obey
from papers import Paper, credentials

from atoll.progress.v1 import progress_pb2 as pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_worker.exchange.identity import Credentials
from atoll_worker.metrics import REPORTED

CALL_SECONDS: Final = 20.0
TOTALS_EVERY: Final = 5
"""Reports: with so many goes what the island has counted."""
SAMPLES: Final = 40
"""That it has counted."""
CONNECTING_AT_ONCE: Final = 16


class Island:
    """One that reports."""

    def __init__(self, proof: Credentials, address: str) -> None:
        options = (
            ("grpc.ssl_target_name_override", proof.hub.host),
            ("grpc.use_local_subchannel_pool", 1),  # or all would share one connection
        )
        self._channel = grpc.aio.secure_channel(address, proof.for_channel(), options)
        self._stub: Any = progress_grpc.ProgressServiceStub(self._channel)
        self._step = proof.process.step
        self._done = 0

    async def report(self) -> float:
        """Once; seconds until the answer."""
        began = time.perf_counter()
        await self._stub.Report(self._request(), timeout=CALL_SECONDS)
        return time.perf_counter() - began

    def _request(self) -> pb.ReportRequest:
        self._done += 1
        wire = [pb.WireBytes(peer=it, sent_bytes=10**9 + self._done) for it in ("hub", "island")]
        progress = pb.StepProgress(
            step_name=self._step,
            done_count=self._done,
            total_count=10**6,
            loss=1.0 / self._done,
            samples_per_second=1234.5,
            training_wire=wire,
        )
        totals = self._totals() if self._done % TOTALS_EVERY == 0 else None
        return pb.ReportRequest(progress=progress, totals=totals)

    def _totals(self) -> pb.Totals:
        plain = [name for name, family in REPORTED.items() if len(family.labels) == 1]
        names = (plain * SAMPLES)[: min(SAMPLES, len(plain))]
        samples = [pb.Sample(name=it, value=float(self._done)) for it in names]
        return pb.Totals(attempt=self._step, samples=samples)


class Reporters:
    """What the commands do."""

    def __init__(self, papers: list[Paper]) -> None:
        self._proofs = [credentials(it) for it in papers]
        self._islands: list[Island] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self, address: str) -> Answer:
        """Connect, and report for the first time."""
        began = time.perf_counter()
        self._run(self._connect(address))
        return {"seconds": time.perf_counter() - began}

    def report(self, seconds: float, every_seconds: float) -> Answer:
        """All report for so long, spread evenly; milliseconds of each report."""
        found: list[float] = self._run(self._report(seconds, every_seconds))
        return {"milliseconds": [round(1e3 * it, 3) for it in found]}

    async def _connect(self, address: str) -> None:
        line = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._islands = [Island(it, address) for it in self._proofs]

        async def one(island: Island) -> None:
            async with line:
                await island.report()

        await asyncio.gather(*(one(it) for it in self._islands))

    async def _report(self, seconds: float, every_seconds: float) -> list[float]:
        until = time.perf_counter() + seconds
        found: list[float] = []

        async def one(island: Island, first: float) -> None:
            due = time.perf_counter() + first
            while due < until:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                found.append(await island.report())
                due += every_seconds

        count = len(self._islands)
        await asyncio.gather(
            *(one(it, every_seconds * at / count) for at, it in enumerate(self._islands))
        )
        return found

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def main() -> None:
    """Answer commands until the input ends."""
    with ExitStack() as stack:
        stack.callback(os._exit, 0)  # no thread of gRPC's may keep it
        obey(Reporters(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
