"""The serving side of the exchange: gRPC in front of a store. No torch, no numpy.

The hub serves a `Store`, an island `Snapshots`; the calls are the same.

The event loop never touches the disk: what may block runs on a few threads, and a call that is
cancelled waits for its thread before it goes.
"""

# ruff: noqa: N802, ARG002 - gRPC fixes the names and arguments of a servicer's methods

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import wraps
from typing import Any, Final, TypeVar

import grpc

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_worker.errors import (
    CorruptArtifactError,
    NoSpaceError,
    UnavailableError,
    WorkerError,
)
from atoll_worker.exchange import frames
from atoll_worker.exchange.access import Action
from atoll_worker.exchange.frames import PIECE_BYTES, Chunk
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.line import BulkLimits, Line, Turn
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.shelf import Shelf, Writer
from atoll_worker.exchange.store import ChangedError, NotBoundError, Range
from atoll_worker.exchange.traffic import Traffic
from atoll_worker.exchange.upload import BusyError

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_RANGES: Final = 65_536
"""Blobs of one Fetch: more than a manifest of the largest size can list."""
MAX_UNHEARD: Final = 4096
"""Bindings that a Watch may lag behind before it is ended; whoever watches asks again."""
TELL_BYTES: Final = 4 * PIECE_BYTES
"""A Publish is told how far it is as often."""
EXCHANGE_SERVICE: Final = "atoll.exchange.v1.ExchangeService"
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
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
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
            return await context.abort(code, str(error))

    return answer


class ExchangeServer(exchange_grpc.ExchangeServiceServicer):
    """Artifacts over gRPC; see the comments in exchange.proto."""

    def __init__(
        self, store: Shelf, threads: Threads, guard: Guard, limits: BulkLimits | None = None
    ) -> None:
        self._store = store
        self._guard = guard
        self._threads = threads
        self._limits = limits or BulkLimits()
        self._line = Line(self._limits)
        self.traffic = Traffic("client")
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
        reached = self._store.reached(session) if blobs else {}
        partial = [
            pb.BlobRange(blob_digest=it.digest, offset_bytes=reached[it.digest])
            for it in blobs
            if it.digest in reached
        ]
        return pb.MissingResponse(
            session_id=session, blob_digests=[it.digest for it in blobs], partial=partial
        )

    @_refusing
    async def Publish(  # type: ignore[override] # bytes, and the other of gRPC's ways to stream
        self, request_iterator: object, context: Servicer
    ) -> None:
        """Receive blobs. Messages are bytes as `frames` reads them."""
        await self._guard.caller(context)  # before it takes a place; the session is checked below

        async def tell(received_bytes: int = 0) -> None:
            answer = pb.PublishResponse(received_bytes=received_bytes)
            async with self._moving():
                await context.write(answer.SerializeToString())

        async with self._line.place(tell) as turn:
            with ExitStack() as stack:
                received = told = 0
                async for taken in self._receive(context, turn, stack):
                    received += taken
                    if received - told >= TELL_BYTES:
                        await tell(received)
                        told = received
                await tell(received)

    async def _receive(self, context: Servicer, turn: Turn, stack: ExitStack) -> AsyncIterator[int]:
        """Bytes of blobs of each message, once they are in the store."""
        writer: Writer | None = None
        while not turn.over:
            async with self._moving():
                message = await context.read()
            if message is grpc.aio.EOF:
                return
            session, chunks = frames.decode_publish(message)
            if writer is None:
                await self._guard.require(context, Action.BIND, self._store.ref_of(session))
                writer = stack.enter_context(self._store.writer(session))
            taken = await self._threads.call(_take, writer, chunks)
            self.traffic.add("received", taken)
            yield taken

    @_refusing
    async def Bind(self, request: pb.BindRequest, context: Servicer) -> pb.BindResponse:
        """Bind a ref, and tell those who watch."""
        ref = self._store.ref_of(request.session_id)
        await self._guard.require(context, Action.BIND, ref)
        bound, new = await self._threads.call(self._store.bind, request.session_id)
        for queue in self._watchers if new else ():
            queue.put_nowait(bound if queue.qsize() < MAX_UNHEARD else None)
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
        """Send blobs, many to a message. Messages are bytes as `frames` writes them."""
        await self._guard.require(context, Action.READ, request.ref)
        ranges = _ranges(request)

        async def send(message: bytes = b"") -> None:
            async with self._moving():
                await context.write(message)

        async with self._line.place(send) as turn:
            pieces = self._store.read(request.ref, request.manifest_digest, ranges)
            packed = frames.packed(pieces)
            try:
                while not turn.over:
                    message, size = await self._threads.call(_next_message, packed)
                    if not message:
                        return
                    await send(message)
                    self.traffic.add("sent", size)
            finally:
                pieces.close()  # lets go of what is pinned

    @asynccontextmanager
    async def _moving(self) -> AsyncIterator[None]:
        """End what moves nothing for too long."""
        seconds = self._limits.stall_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise TimeoutError(f"the transfer moved nothing for {seconds:g} s") from None

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

    def __init__(self, store: Shelf, book: ProgressBook, threads: Threads, guard: Guard) -> None:
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
    store: Shelf,
    book: ProgressBook,
    threads: Threads,
    guard: Guard,
    limits: BulkLimits | None = None,
) -> tuple[grpc.aio.Server, ExchangeServer]:
    """A server with both services, not yet bound to a port; and its exchange."""
    server = grpc.aio.server(options=_OPTIONS)
    exchange = ExchangeServer(store, threads, guard, limits)
    exchange_grpc.add_ExchangeServiceServicer_to_server(exchange, server)
    server.add_registered_method_handlers(EXCHANGE_SERVICE, _bulk_handlers(exchange))
    progress = ProgressServer(store, book, threads, guard)
    progress_grpc.add_ProgressServiceServicer_to_server(progress, server)
    return server, exchange


def _bulk_handlers(exchange: ExchangeServer) -> dict[str, Any]:
    """Publish and Fetch with their bulk messages left as bytes, in place of the generated ones."""
    return {
        "Publish": grpc.stream_stream_rpc_method_handler(exchange.Publish),
        "Fetch": grpc.unary_stream_rpc_method_handler(
            exchange.Fetch, request_deserializer=pb.FetchRequest.FromString
        ),
    }


def to_binding(bound: Bound) -> pb.Binding:
    """A binding as the wire has it."""
    return pb.Binding(
        ref=bound.ref,
        manifest_digest=bound.digest,
        size_bytes=bound.size_bytes,
        parent_digests=bound.parents,
    )


def _ranges(request: pb.FetchRequest) -> list[Range]:
    ranges = [Range(it.blob_digest, it.offset_bytes) for it in request.ranges]
    if len(ranges) > MAX_RANGES:
        raise ManifestError(f"{len(ranges)} blobs in one call, the limit is {MAX_RANGES}")
    if len({wanted.digest for wanted in ranges}) < len(ranges):
        raise ManifestError(f"a blob of {request.ref[:80]} is asked for twice in one call")
    return ranges


def _take(writer: Writer, chunks: Sequence[Chunk]) -> int:
    for digest, offset, content in chunks:
        writer.write(digest, offset, content)
    return sum(len(content) for _, _, content in chunks)


def _next_message(packed: Iterator[list[Chunk]]) -> tuple[bytes, int]:
    """The next message and the bytes of blobs in it; no bytes at the end."""
    chunks = next(packed, [])
    return frames.encode_fetch(chunks), sum(len(content) for _, _, content in chunks)
