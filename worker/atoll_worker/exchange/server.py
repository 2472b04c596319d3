"""The hub's side of the exchange: gRPC in front of the store. No torch, no numpy.

The event loop never touches the disk: what may block runs on a few threads, and a call that is
cancelled waits for its thread before it goes.
"""

# ruff: noqa: N802, ARG002 - gRPC fixes the names and arguments of a servicer's methods

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import wraps
from typing import Any, Final, TypeVar

import grpc

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_worker.errors import CorruptArtifactError, NoSpaceError, WorkerError
from atoll_worker.exchange.access import Action
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.store import (
    PIECE_BYTES,
    ChangedError,
    NotBoundError,
    Pieces,
    Range,
    Store,
)
from atoll_worker.exchange.upload import BlobWriter, BusyError

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
BULK_STREAMS: Final = 2
"""Transfers at once: more only cost memory."""
STALL_SECONDS: Final = 30.0
"""A transfer that moves nothing for so long gives its place to another."""
IDLE_SESSION_SECONDS: Final = 600.0

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # with it, two hubs on one port would share the calls
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)

T = TypeVar("T")
S = TypeVar("S")  # the servicer
Q = TypeVar("Q")  # its question
R = TypeVar("R")  # its answer
Servicer = grpc.aio.ServicerContext[Any, Any]

_STATUSES: Final[tuple[tuple[type[Exception], grpc.StatusCode], ...]] = (
    (ManifestError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotBoundError, grpc.StatusCode.NOT_FOUND),
    (ChangedError, grpc.StatusCode.FAILED_PRECONDITION),
    (BusyError, grpc.StatusCode.ABORTED),
    (NoSpaceError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (CorruptArtifactError, grpc.StatusCode.DATA_LOSS),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (WorkerError, grpc.StatusCode.INTERNAL),
)


class Threads:
    """Where calls that block run."""

    def __init__(self, count: int = 4) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="disk")

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function on a thread; a cancelled caller still waits for it to return."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown()


def _refusing(
    method: Callable[[S, Q, Servicer], Awaitable[R]],
) -> Callable[[S, Q, Servicer], Awaitable[R]]:
    """Turn the errors of the store into the code and the one sentence that the caller gets."""

    @wraps(method)
    async def answer(server: S, request: Q, context: Servicer) -> R:
        try:
            return await method(server, request, context)
        except tuple(kind for kind, _ in _STATUSES) as error:
            code = next(code for kind, code in _STATUSES if isinstance(error, kind))
            message = str(error) or f"nothing moved for {STALL_SECONDS:.0f} s"
            return await context.abort(code, message)

    return answer


class ExchangeServer(exchange_grpc.ExchangeServiceServicer):
    """Artifacts over gRPC; see the comments in exchange.proto."""

    def __init__(self, store: Store, threads: Threads, guard: Guard) -> None:
        self._store = store
        self._guard = guard
        self._threads = threads
        self._bulk = asyncio.Semaphore(BULK_STREAMS)
        self._watchers: set[asyncio.Queue[Bound | None]] = set()

    def end_watches(self) -> None:
        """Let every Watch return: the hub stops."""
        for queue in self._watchers:
            queue.put_nowait(None)

    @_refusing
    async def Missing(self, request: pb.MissingRequest, context: Servicer) -> pb.MissingResponse:
        """Open, or find again, an upload."""
        caller = await self._guard.require(context, Action.BIND, request.ref)
        readable = self._guard.permits(caller, Action.READ)
        session, blobs = await self._threads.call(
            self._store.open_upload, request.ref, request.manifest, readable
        )
        return pb.MissingResponse(session_id=session, blob_digests=[it.digest for it in blobs])

    @_refusing
    async def Publish(
        self, request_iterator: AsyncIterator[pb.PublishRequest], context: Servicer
    ) -> pb.PublishResponse:
        """Receive blobs."""
        await self._guard.caller(context)  # before it takes a place; the session is checked below
        async with self._bulk:
            with ExitStack() as stack:
                writer: BlobWriter | None = None
                async for request in _unstalled(request_iterator):
                    if writer is None:
                        ref = self._store.ref_of(request.session_id)
                        await self._guard.require(context, Action.BIND, ref)
                        writer = stack.enter_context(self._store.writer(request.session_id))
                    await self._threads.call(_receive, writer, request)
                return pb.PublishResponse(received_bytes=writer.received_bytes if writer else 0)

    @_refusing
    async def Bind(self, request: pb.BindRequest, context: Servicer) -> pb.BindResponse:
        """Bind a ref, and tell those who watch."""
        ref = self._store.ref_of(request.session_id)
        await self._guard.require(context, Action.BIND, ref)
        bound, new = await self._threads.call(self._store.bind, request.session_id)
        for queue in self._watchers if new else ():
            queue.put_nowait(bound)
        return pb.BindResponse(binding=to_binding(bound))

    @_refusing
    async def Resolve(self, request: pb.ResolveRequest, context: Servicer) -> pb.ResolveResponse:
        """What a ref is bound to."""
        await self._guard.require(context, Action.READ, request.ref)
        bound, content = await self._threads.call(self._store.resolve, request.ref)
        return pb.ResolveResponse(binding=to_binding(bound), manifest=content)

    @_refusing
    async def Fetch(  # type: ignore[override] # the other of gRPC's two ways to stream
        self, request: pb.FetchRequest, context: Servicer
    ) -> None:
        """Send blobs, many to a message."""
        await self._guard.require(context, Action.READ, request.ref)
        ranges = [Range(it.blob_digest, it.offset_bytes) for it in request.ranges]
        async with self._bulk:
            pieces = self._store.read(request.ref, request.manifest_digest, ranges)
            messages = _packed(pieces)
            try:
                while (message := await self._threads.call(next, messages, None)) is not None:
                    await asyncio.wait_for(context.write(message), STALL_SECONDS)
            finally:
                messages.close()
                pieces.close()  # lets go of what is pinned

    async def Watch(
        self, request: pb.WatchRequest, context: Servicer
    ) -> AsyncIterator[pb.WatchResponse]:
        """What is bound, and then what becomes bound; a ref may be named twice in between."""
        caller = await self._guard.caller(context)
        listed = self._guard.permits(caller, Action.LIST)
        queue: asyncio.Queue[Bound | None] = asyncio.Queue()
        prefixes = tuple(request.prefixes)
        self._watchers.add(queue)
        try:
            for bound in await self._threads.call(self._store.bindings):
                if bound.ref.startswith(prefixes) and listed(bound.ref):
                    yield pb.WatchResponse(binding=to_binding(bound))
            while (heard := await queue.get()) is not None:
                if heard.ref.startswith(prefixes) and listed(heard.ref):
                    yield pb.WatchResponse(binding=to_binding(heard))
        finally:
            self._watchers.discard(queue)

    @_refusing
    async def Drop(self, request: pb.DropRequest, context: Servicer) -> pb.DropResponse:
        """Unbind refs."""
        await self._guard.require(context, Action.DROP, *request.refs)
        refs = await self._threads.call(self._store.drop, list(request.refs))
        return pb.DropResponse(refs=refs)


class ProgressServer(progress_grpc.ProgressServiceServicer):
    """Progress over gRPC."""

    def __init__(self, store: Store, book: ProgressBook, threads: Threads, guard: Guard) -> None:
        self._store = store
        self._guard = guard
        self._book = book
        self._threads = threads

    @_refusing
    async def Report(
        self, request: progress_pb.ReportRequest, context: Servicer
    ) -> progress_pb.ReportResponse:
        """Take a report."""
        await self._guard.require(context, Action.REPORT, request.progress.step_name)
        self._book.put(request.progress)
        return progress_pb.ReportResponse()

    async def GetSnapshot(
        self, request: progress_pb.GetSnapshotRequest, context: Servicer
    ) -> progress_pb.GetSnapshotResponse:
        """How far each step is, and what is bound."""
        caller = await self._guard.caller(context)
        listed = self._guard.permits(caller, Action.LIST)
        followed = self._guard.permits(caller, Action.FOLLOW)
        bindings = await self._threads.call(self._store.bindings)
        return progress_pb.GetSnapshotResponse(
            steps=[step for step in self._book.steps() if followed(step.step_name)],
            bindings=[to_binding(bound) for bound in bindings if listed(bound.ref)],
        )


def build_server(
    store: Store, book: ProgressBook, threads: Threads, guard: Guard
) -> tuple[grpc.aio.Server, ExchangeServer]:
    """A server with both services, not yet bound to a port; and its exchange."""
    server = grpc.aio.server(options=_OPTIONS)
    exchange = ExchangeServer(store, threads, guard)
    exchange_grpc.add_ExchangeServiceServicer_to_server(exchange, server)
    progress = ProgressServer(store, book, threads, guard)
    progress_grpc.add_ProgressServiceServicer_to_server(progress, server)
    return server, exchange


def to_binding(bound: Bound) -> pb.Binding:
    """A binding as the wire has it."""
    return pb.Binding(
        ref=bound.ref,
        manifest_digest=bound.digest,
        size_bytes=bound.size_bytes,
        parent_digests=bound.parents,
    )


async def _unstalled(requests: AsyncIterator[T]) -> AsyncIterator[T]:
    iterator = aiter(requests)
    while True:
        try:
            yield await asyncio.wait_for(anext(iterator), STALL_SECONDS)
        except StopAsyncIteration:
            return


def _receive(writer: BlobWriter, request: pb.PublishRequest) -> None:
    if sum(len(chunk.content) for chunk in request.chunks) > PIECE_BYTES:
        raise ManifestError(f"a message holds more than {PIECE_BYTES} bytes of blobs")
    for chunk in request.chunks:
        writer.write(chunk.blob_digest, chunk.offset_bytes, chunk.content)


def _packed(pieces: Pieces) -> Generator[pb.FetchResponse, None, None]:
    """Messages of at most `PIECE_BYTES`: a message for each small blob would cost 9 times more."""
    chunks: list[pb.BlobChunk] = []
    size = 0
    for digest, offset, content in pieces:
        if size + len(content) > PIECE_BYTES:
            yield pb.FetchResponse(chunks=chunks)
            chunks, size = [], 0
        chunks.append(pb.BlobChunk(blob_digest=digest, offset_bytes=offset, content=content))
        size += len(content)
    if chunks:
        yield pb.FetchResponse(chunks=chunks)
