"""The hub: keeps the artifacts and the progress of one job. No torch in this process."""

import asyncio
import errno
import json
import logging
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import grpc

from atoll_api.hub_order import FolderStore, HubOrder
from atoll_api.names import HUB, Process
from atoll_worker.errors import DisruptedError, InUseError, WorkerError
from atoll_worker.exchange import identity
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.fullness import LOOK_SECONDS, Fullness
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.opening import opened
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import IDLE_SESSION_SECONDS, Beside, Threads, build_server
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.totals import TotalsBook
from atoll_worker.tally import Tally

PROGRESS_FILE = "progress.json"
TOTALS_FILE = "totals.json"
_GRACE_SECONDS = 5.0
_HOUSEKEEPING_SECONDS = 1.0
_WRITING_SHARE = 0.05
"""Of the time: what each kind of what a thousand islands told may take to be written down."""

_log = logging.getLogger(__name__)


def run(order: HubOrder, tally: Tally) -> None:
    """Serve until SIGTERM, with mutual TLS and nothing else.

    Raises:
        IdentityError: the certificate is not this hub's, or not valid now.
        InUseError: the store or the port is taken.
        NoSpaceError: the store cannot be written.
        DisruptedError: the hub was told to stop, and did.
    """
    credentials = identity.load(order.identity, Process(order.job.uid, HUB), datetime.now(UTC))
    if credentials.expires is not None:
        tally.certified_until(credentials.expires.timestamp())
    with opened(order.store, order.quota_bytes) as store:
        asyncio.run(_serve(order, store, credentials, tally))
    raise DisruptedError("told to stop; what is bound is kept")


async def _serve(
    order: HubOrder, store: Store, credentials: identity.Credentials, tally: Tally
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    threads = Threads()
    records = Records(store)
    records.load()
    server, exchange = build_server(
        store, threads, _guard(order), Beside(records.book, tally=tally)
    )
    _show(order, store, records.book, tally)
    try:
        port = _bind(server, order, credentials.for_server())
        await server.start()
        _write_ready_file(Path(order.ready_file), f"{order.host}:{port}")
        _log.info("listens on %s:%d, with %d refs", order.host, port, len(store.bindings()))
        watched = asyncio.create_task(_watch_room(_fullness(order, store), threads))
        await _keep_house(store, records, threads, stop)
        watched.cancel()
    finally:
        exchange.end_watches()
        await server.stop(_GRACE_SECONDS)
        threads.close()
    records.save()


@dataclass
class _Record:
    """What is written to a file of the store whenever it has changed, if that is not too often."""

    file: str
    book: ProgressBook | TotalsBook
    not_before: float = 0.0
    """On the monotonic clock."""


class Records:
    """What the steps told, in memory and on disk: a hub that was killed goes on with it."""

    def __init__(self, store: Store, book: ProgressBook | None = None) -> None:
        self.book = book or ProgressBook()
        self._store = store
        self._all = (_Record(PROGRESS_FILE, self.book), _Record(TOTALS_FILE, self.book.totals))

    def load(self) -> None:
        """Take up what an earlier process of this hub has written."""
        for it in self._all:
            if (saved := self._store.read_file(it.file)) is not None:
                it.book.load(saved)

    async def save_now_and_then(self, threads: Threads) -> None:
        """Write what has changed, but for a small share of the time."""
        for it in self._all:
            began = time.monotonic()
            if it.book.changed and began >= it.not_before:
                await threads.call(self._write, it)
                took = time.monotonic() - began
                it.not_before = time.monotonic() + took / _WRITING_SHARE

    def save(self) -> None:
        """Write what has changed; at the end."""
        for it in self._all:
            if it.book.changed:
                self._write(it)

    def _write(self, record: _Record) -> None:
        """On any thread: of a thousand islands it takes a while to be put into words."""
        self._store.write_file(record.file, record.book.dump())


def _show(order: HubOrder, store: Store, book: ProgressBook, tally: Tally) -> None:
    """What a scrape finds of the hub itself, and of the steps."""
    if not tally.counts:
        return

    def look() -> None:
        usage = store.usage()
        tally.store_is(usage.stored_bytes, order.quota_bytes or 0, usage.artifacts, usage.uploads)
        if isinstance(order.store, FolderStore):
            with suppress(OSError):
                disk = shutil.disk_usage(order.store.folder)
                tally.disk_is(disk.free, disk.total)
        tally.steps_told(book.totals.times())

    tally.look_first(look)
    reported = import_module("atoll_worker.exchange.reported")
    tally.show_too(reported.ReportedTotals(book.totals))


def _guard(order: HubOrder) -> Guard:
    return Guard(order.job.uid, Circle.of(order.around, common_basis=order.common_basis))


def _fullness(order: HubOrder, store: Store) -> Fullness:
    folder = Path(order.store.folder) if isinstance(order.store, FolderStore) else None
    return Fullness(store, order.quota_bytes, folder)


async def _watch_room(fullness: Fullness, threads: Threads) -> None:
    while True:
        with suppress(OSError):
            await threads.look(fullness.look)
        await asyncio.sleep(LOOK_SECONDS)


async def _keep_house(
    store: Store, records: Records, threads: Threads, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUSEKEEPING_SECONDS)
        with suppress(WorkerError):  # whoever publishes next is told of the disk
            await threads.call(store.expire, IDLE_SESSION_SECONDS)
            await records.save_now_and_then(threads)


def _bind(server: grpc.aio.Server, order: HubOrder, proof: grpc.ServerCredentials) -> int:
    address = f"{order.host}:{order.port}"
    try:
        port = server.add_secure_port(address, proof)
    except RuntimeError as error:
        raise _why_not(order) from error
    if port == 0:
        raise _why_not(order)
    return port


def _why_not(order: HubOrder) -> WorkerError:
    """GRPC does not say why it cannot listen; the operating system does."""
    try:
        socket.create_server((order.host, order.port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return WorkerError(f"cannot listen on {order.host}:{order.port}: {error.strerror}")
    return InUseError(
        f"port {order.port} of {order.host} is taken: give the hub another one with --hub-port"
    )


def _write_ready_file(path: Path, address: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    temporary.replace(path)
