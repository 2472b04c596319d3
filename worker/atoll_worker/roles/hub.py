"""The hub: keeps the artifacts and the progress of one job. No torch in this process."""

import asyncio
import errno
import json
import logging
import os
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime
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
from atoll_worker.exchange.server import (
    IDLE_SESSION_SECONDS,
    Threads,
    build_server,
)
from atoll_worker.exchange.store import Store

PROGRESS_FILE = "progress.json"
_GRACE_SECONDS = 5.0
_HOUSEKEEPING_SECONDS = 1.0

_log = logging.getLogger(__name__)


def run(order: HubOrder) -> None:
    """Serve until SIGTERM, with mutual TLS and nothing else.

    Raises:
        IdentityError: the certificate is not this hub's, or not valid now.
        InUseError: the store or the port is taken.
        NoSpaceError: the store cannot be written.
        DisruptedError: the hub was told to stop, and did.
    """
    credentials = identity.load(order.identity, Process(order.job.uid, HUB), datetime.now(UTC))
    with opened(order.store, order.quota_bytes) as store:
        asyncio.run(_serve(order, store, credentials))
    raise DisruptedError("told to stop; what is bound is kept")


async def _serve(order: HubOrder, store: Store, credentials: identity.Credentials) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    threads = Threads()
    book = ProgressBook()
    if (saved := store.read_file(PROGRESS_FILE)) is not None:
        book.load(saved)
    server, exchange = build_server(store, book, threads, _guard(order))
    try:
        port = _bind(server, order, credentials.for_server())
        await server.start()
        _write_ready_file(Path(order.ready_file), f"{order.host}:{port}")
        _log.info("listens on %s:%d, with %d refs", order.host, port, len(store.bindings()))
        watched = asyncio.create_task(_watch_room(_fullness(order, store), threads))
        await _keep_house(store, book, threads, stop)
        watched.cancel()
    finally:
        exchange.end_watches()
        await server.stop(_GRACE_SECONDS)
        threads.close()
    _save(store, book)


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
    store: Store, book: ProgressBook, threads: Threads, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUSEKEEPING_SECONDS)
        with suppress(WorkerError):  # whoever publishes next is told of the disk
            await threads.call(store.expire, IDLE_SESSION_SECONDS)
            if book.changed:
                await threads.call(store.write_file, PROGRESS_FILE, book.dump())


def _save(store: Store, book: ProgressBook) -> None:
    if book.changed:
        store.write_file(PROGRESS_FILE, book.dump())


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
