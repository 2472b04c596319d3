"""A server of the exchange on a thread of the test, over any shelf, with certificates."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from atoll_api import names
from atoll_api.names import Process
from atoll_operator.identity import Authority
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.identity import Credentials
from atoll_worker.exchange.line import BulkLimits
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import Threads, build_server
from atoll_worker.exchange.shelf import Shelf
from atoll_worker.exchange.traffic import Traffic

JOB = "0"


@dataclass(frozen=True)
class Served:
    """Where it listens, what it counted, and who may call."""

    address: str
    traffic: Traffic
    authority: Authority

    def credentials(self, role: str = "island", index: int = 0) -> Credentials:
        """Of a process of the job."""
        return _credentials(self.authority, Process(JOB, role, index))


def _credentials(authority: Authority, process: Process) -> Credentials:
    it = authority.issue(process)
    return Credentials(process, it.certificate, it.key, it.authority)


@contextmanager
def serving(shelf: Shelf, limits: BulkLimits | None = None) -> Iterator[Served]:
    """Serve until the block ends."""
    authority = Authority(JOB, datetime.now(UTC))
    started: list[Served] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        threads = Threads()
        server, exchange = build_server(shelf, ProgressBook(), threads, Guard(JOB), limits)
        proof = _credentials(authority, Process(JOB, names.HUB)).for_server()
        port = server.add_secure_port("127.0.0.1:0", proof)
        await server.start()
        started.append(Served(f"127.0.0.1:{port}", exchange.traffic, authority))
        ready.set()
        await stop.wait()
        exchange.end_watches()
        await server.stop(0.5)
        threads.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
