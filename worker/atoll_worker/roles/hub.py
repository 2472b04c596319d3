"""The hub: keeps the artifacts and the progress of one job. No torch in this process."""

import asyncio
import errno
import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import grpc
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api.work_order import HubOrder

from atoll_worker.errors import DisruptedError, InUseError, WorkerError
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.server import (
    IDLE_SESSION_SECONDS,
    MAX_MESSAGE_BYTES,
    ExchangeServer,
    ProgressServer,
    Threads,
)
from atoll_worker.exchange.store import Store

PROGRESS_FILE = "progress.json"
_GRACE_SECONDS = 5.0
_HOUSEKEEPING_SECONDS = 1.0
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # with it, two hubs on one port would share the calls
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)


def run(order: HubOrder) -> None:
    """Serve until SIGTERM.

    Raises:
        InUseError: the store or the port is taken.
        NoSpaceError: the store cannot be written.
        DisruptedError: the hub was told to stop, and did.
    """
    store = Store(Path(order.store))
    try:
        asyncio.run(_serve(order, store))
    finally:
        store.close()
    raise DisruptedError("told to stop; what is bound is kept")


async def _serve(order: HubOrder, store: Store) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    threads = Threads()
    book = ProgressBook()
    with suppress(FileNotFoundError):
        book.load((Path(order.store) / PROGRESS_FILE).read_bytes())
    exchange = ExchangeServer(store, threads)
    server = grpc.aio.server(options=_OPTIONS)
    exchange_grpc.add_ExchangeServiceServicer_to_server(exchange, server)
    progress_grpc.add_ProgressServiceServicer_to_server(
        ProgressServer(store, book, threads), server
    )
    port = _bind(server, order)
    await server.start()
    _write_ready_file(Path(order.ready_file), f"{order.host}:{port}")
    await _keep_house(store, book, threads, stop)
    exchange.end_watches()
    await server.stop(_GRACE_SECONDS)
    _save(store, book)
    threads.close()


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


def _bind(server: grpc.aio.Server, order: HubOrder) -> int:
    address = f"{order.host}:{order.port}"
    try:
        port = server.add_insecure_port(address)
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
