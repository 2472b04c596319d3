"""The serving side of the exchange: gRPC in front of a store. No torch, no numpy.

The hub serves a `Store`, an island `Snapshots`; the calls are the same.

The event loop never touches the disk: what may block runs on a few threads, and a call that is
cancelled waits for its thread before it goes.
"""

# ruff: noqa: N802, ARG002 - gRPC fixes the names and arguments of a servicer's methods

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from itertools import islice
from typing import Any, Final, TypeVar

import grpc

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_telemetry import tracing
from atoll_worker.errors import (
    CorruptArtifactError,
    FinalError,
    NoSpaceError,
    RejectedError,
    UnavailableError,
    WorkerError,
)
from atoll_worker.exchange import frames
from atoll_worker.exchange.access import Action
from atoll_worker.exchange.content import PIECE_BYTES, ContentError, Pieces, Run, digest_of
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.holders import Holder, Holders
from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.line import BulkLimits, Line, Turn
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.requests import PlainReading, Unreadable
from atoll_worker.exchange.shelf import ChangedError, NotBoundError, Shelf, Writer
from atoll_worker.exchange.traffic import Traffic
from atoll_worker.exchange.upload import BusyError, LaterError, WritingError
from atoll_worker.exchange.witness import took_over, traced
from atoll_worker.tally import Tally

MAX_UNHEARD: Final = 4096
"""Events that a Watch may lag behind before it is ended; whoever watches asks again."""
PIECES_A_STEP: Final = 4
"""Read ahead of a Fetch from a disk: to change threads for each message costs as much as TLS."""
TELL_BYTES: Final = 4 * PIECE_BYTES
"""A Publish is told how far it is as often, or else by the notice of `BulkLimits`: on a slow line
4 MiB take longer than a caller waits for word."""
IDLE_SESSION_SECONDS: Final = 600.0
BIND_SECONDS: Final = 5.0
"""Of a Bind whose artifact is still being written; less than its caller's deadline."""

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # with it, two hubs on one port would share the calls
    ("grpc.max_receive_message_length", frames.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", frames.MAX_MESSAGE_BYTES),
)

T = TypeVar("T")
S = TypeVar("S")  # the servicer
Q = TypeVar("Q")  # its question
R = TypeVar("R")  # its answer
Servicer = grpc.aio.ServicerContext[Any, Any]

_STATUSES: Final[tuple[tuple[type[Exception], grpc.StatusCode], ...]] = (
    (ContentError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotBoundError, grpc.StatusCode.NOT_FOUND),
    (ChangedError, grpc.StatusCode.FAILED_PRECONDITION),
    (BusyError, grpc.StatusCode.ABORTED),
    (NoSpaceError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (CorruptArtifactError, grpc.StatusCode.DATA_LOSS),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
    (RejectedError, grpc.StatusCode.UNIMPLEMENTED),
    (FinalError, grpc.StatusCode.FAILED_PRECONDITION),
    (WorkerError, grpc.StatusCode.INTERNAL),
)


@dataclass(frozen=True)
class Wanted:
    """A ref that a step holds and another wants here."""

    ref: str
    step: str


Messages = list[tuple[bytes, int]]
"""Messages of a Fetch, and the bytes of content in each."""
Event = Bound | Wanted | None
"""What a Watch is told; None: nothing more."""


class Threads:
    """Where calls that block run."""

    def __init__(self, count: int = 4) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="disk")
        self._lookups = ThreadPoolExecutor(1, thread_name_prefix="lookup")

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function on a thread; a cancelled caller still waits for it to return."""
        return await self._on(self._pool, function, *arguments)

    async def look(self, function: Callable[..., T], *arguments: object) -> T:
        """As `call`, on a thread of its own: a short look never waits behind a sync of the disk."""
        return await self._on(self._lookups, function, *arguments)

    async def _on(
        self, pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: object
    ) -> T:
        future = asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # heard of, though nobody is left to be told
            raise

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown()
        self._lookups.shutdown()


def _refusing(
    method: Callable[[S, Q, Servicer], Awaitable[R]],
) -> Callable[[S, Q, Servicer], Awaitable[R]]:
    """Turn the errors of the store into the code and the one sentence that the caller gets."""

    @wraps(method)
    async def answer(server: S, request: Q, context: Servicer) -> R:
        await _require_readable(request, context)
        try:
            return await method(server, request, context)
        except tuple(kind for kind, _ in _STATUSES) as error:
            code = next(code for kind, code in _STATUSES if isinstance(error, kind))
            return await context.abort(code, str(error), _how_far(error))

    return answer


def _how_far(error: Exception) -> tuple[tuple[str, str], ...]:
    if isinstance(error, WritingError):
        return ((frames.WRITTEN_BYTES, str(error.written_bytes)),)
    return ()


async def _require_readable(request: object, context: Servicer) -> None:
    if isinstance(request, Unreadable):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.sentence)


@dataclass(frozen=True)
class Beside:
    """What a server has beside a shelf and a guard.

    Attributes:
        book: with it, it takes progress too.
        limits: of what moves bytes.
        traffic: where it counts them.
        tally: told of every call and byte.
    """

    book: ProgressBook | None = None
    limits: BulkLimits = field(default_factory=BulkLimits)
    traffic: Traffic = field(default_factory=Traffic)
    tally: Tally = field(default_factory=Tally)


class ExchangeServer(exchange_grpc.ExchangeServiceServicer):
    """Artifacts over gRPC; see the comments in exchange.proto."""

    def __init__(
        self, store: Shelf, threads: Threads, guard: Guard, beside: "Beside | None" = None
    ) -> None:
        beside = beside or Beside()
        self._store = store
        self._guard = guard
        self._threads = threads
        self._limits = beside.limits
        self._line = Line(self._limits)
        self.traffic = beside.traffic
        self._holders = Holders()
        self._watchers: set[asyncio.Queue[Event]] = set()

    def end_watches(self) -> None:
        """Let every Watch return: the hub stops."""
        for queue in self._watchers:
            queue.put_nowait(None)

    @_refusing
    async def Missing(self, request: pb.MissingRequest, context: Servicer) -> pb.MissingResponse:
        """Open, or find again, an upload."""
        caller = await self._guard.require(context, Action.BIND, request.ref)
        readable = self._guard.permits(caller, Action.READ)
        session, runs = await self._threads.call(
            self._store.open_upload, request.ref, request.manifest, readable
        )
        missing = [pb.ByteRange(begin=begin, end=end) for begin, end in runs]
        return pb.MissingResponse(session_id=session, missing=missing)

    @_refusing
    @traced("receive")
    async def Publish(  # type: ignore[override] # bytes, and the other of gRPC's ways to stream
        self, request_iterator: object, context: Servicer
    ) -> None:
        """Receive content. Messages are bytes as `frames` reads them."""
        caller = await self._guard.caller(context)  # the session is checked below

        async def tell(received_bytes: int = 0) -> None:
            answer = pb.PublishResponse(received_bytes=received_bytes)
            async with self._moving():
                await context.write(answer.SerializeToString())

        async with self._line.place(tell) as turn:
            received = told = 0
            until = time.monotonic() + self._limits.notice_seconds
            async with aclosing(self._receive(context, turn, caller.role)) as taken:
                async for size in taken:
                    received += size
                    if received - told >= TELL_BYTES or time.monotonic() >= until:
                        await tell(received)
                        told = received
                        until = time.monotonic() + self._limits.notice_seconds
            await tell(received)
            tracing.note(peer=caller.step, bytes=received)

    async def _receive(self, context: Servicer, turn: Turn, peer: str) -> AsyncGenerator[int, None]:
        """Bytes of each message, once they are in the store."""
        writer: Writer | None = None
        while not turn.over:
            async with self._moving():
                message = await context.read()
            if message is grpc.aio.EOF:
                return
            session, position, content = frames.decode_publish(message)
            if writer is None:
                await self._guard.require(context, Action.BIND, self._store.ref_of(session))
                writer = self._store.writer(session)
            await self._threads.call(writer.write, position, content)
            self.traffic.add("received", peer, len(content))
            yield len(content)

    @_refusing
    async def Bind(self, request: pb.BindRequest, context: Servicer) -> pb.BindResponse:
        """Bind a ref, and tell those who watch."""
        ref = self._store.ref_of(request.session_id)
        await self._guard.require(context, Action.BIND, ref)
        bound, news = await self._bind(request.session_id)
        if news:
            self._holders.arrived(ref)
            self._tell(bound)
            took_over(bound)
        return pb.BindResponse(binding=to_binding(bound))

    async def _bind(self, session: str) -> tuple[Bound, bool]:
        """Wait a little for one's turn, and for a store that is slow to write; seldom on a thread."""
        until = time.monotonic() + BIND_SECONDS
        pause_seconds = 0.01  # a disk is done at once, a bucket takes its time
        while True:
            try:
                return await self._threads.call(self._store.bind, session, 0.1)
            except LaterError:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(0.4, 2 * pause_seconds)

    @_refusing
    async def Hold(self, request: pb.HoldRequest, context: Servicer) -> pb.HoldResponse:
        """Bind a ref whose bytes stay with the caller, and tell those who watch."""
        caller = await self._guard.require(context, Action.BIND, request.ref)
        holder = Holder(caller.step, request.address)
        bound, _ = await self._threads.call(self._store.hold, request.ref, request.manifest)
        if bound.digest == digest_of(request.manifest):
            self._holders.hold(bound.ref, holder)
            self._tell(bound)
        return pb.HoldResponse(binding=to_binding(bound))

    @_refusing
    async def Excuse(self, request: pb.ExcuseRequest, context: Servicer) -> pb.ExcuseResponse:
        """Bind a ref to nothing, unless it is bound already, and tell those who watch."""
        await self._guard.require(context, Action.EXCUSE, request.ref)
        bound, news = await self._threads.call(self._store.hold, request.ref, ABSENCE.to_bytes())
        if news:
            self._tell(bound)
        return pb.ExcuseResponse(binding=to_binding(bound))

    @_refusing
    async def Want(self, request: pb.WantRequest, context: Servicer) -> pb.WantResponse:
        """Tell whoever holds a ref that its bytes are wanted here."""
        await self._guard.require(context, Action.READ, request.ref)
        bound, _ = await self._threads.look(self._store.resolve, request.ref)
        if not self._store.is_here(bound):
            holder = self._holders.want(request.ref)
            if holder is not None:
                self._tell(Wanted(request.ref, holder.step))
        received = await self._threads.look(self._store.received_bytes, request.ref)
        return pb.WantResponse(place=self._place(bound), received_bytes=received)

    @_refusing
    async def Resolve(self, request: pb.ResolveRequest, context: Servicer) -> pb.ResolveResponse:
        """What a ref is bound to."""
        await self._guard.require(context, Action.READ, request.ref)
        bound, content = await self._threads.look(self._store.resolve, request.ref)
        place = self._place(bound)
        return pb.ResolveResponse(binding=to_binding(bound), manifest=content, place=place)

    @_refusing
    @traced("send")
    async def Fetch(  # type: ignore[override] # the other of gRPC's two ways to stream
        self, request: pb.FetchRequest, context: Servicer
    ) -> None:
        """Send content. Messages are bytes as `frames` writes them."""
        caller = await self._guard.require(context, Action.READ, request.ref)
        runs = [Run(it.begin, it.end) for it in request.ranges]

        async def send(message: bytes = b"") -> None:
            async with self._moving():
                await context.write(message)

        async with self._line.place(send) as turn:
            pieces = self._store.read(request.ref, request.manifest_digest, runs)
            try:
                while messages := await self._next_messages(pieces):
                    for message, size in messages:
                        if turn.over:
                            return
                        await send(message)
                        self.traffic.add("sent", caller.role, size)
            finally:
                tracing.note(peer=caller.step, ref=request.ref)
                await self._threads.call(pieces.close)  # lets go of what is pinned

    async def _next_messages(self, pieces: Pieces) -> Messages:
        """The next messages of a Fetch; none at the end."""
        if self._store.in_memory:
            return _messages(pieces, 1)
        return await self._threads.call(_messages, pieces, PIECES_A_STEP)

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
        """What is bound and wanted, and then what becomes so; a ref may be named twice."""
        await _require_readable(request, context)
        caller = await self._guard.caller(context)
        listed = self._guard.permits(caller, Action.LIST)
        queue: asyncio.Queue[Event] = asyncio.Queue()
        prefixes = tuple(request.prefixes)
        self._watchers.add(queue)
        try:
            await context.send_initial_metadata(())  # from now on nothing is missed
            for bound in await self._threads.look(self._store.bindings):
                if bound.ref.startswith(prefixes) and listed(bound.ref):
                    yield self._bound_event(bound)
            for ref in self._holders.wanted_of(caller.step):
                yield pb.WatchResponse(wanted_ref=ref)
            while (heard := await queue.get()) is not None:
                if isinstance(heard, Wanted):
                    if heard.step == caller.step:
                        yield pb.WatchResponse(wanted_ref=heard.ref)
                elif heard.ref.startswith(prefixes) and listed(heard.ref):
                    yield self._bound_event(heard)
        finally:
            self._watchers.discard(queue)

    def _tell(self, event: "Bound | Wanted") -> None:
        for queue in self._watchers:
            queue.put_nowait(event if queue.qsize() < MAX_UNHEARD else None)

    def _bound_event(self, bound: Bound) -> pb.WatchResponse:
        return pb.WatchResponse(bound=pb.Bound(binding=to_binding(bound), place=self._place(bound)))

    def _place(self, bound: Bound) -> pb.Place:
        holder = self._holders.holder(bound.ref)
        return pb.Place(
            here=self._store.is_here(bound),
            holder_address=holder.address if holder else "",
            holder_step=holder.step if holder else "",
        )

    @_refusing
    async def Drop(self, request: pb.DropRequest, context: Servicer) -> pb.DropResponse:
        """Unbind refs."""
        await self._guard.require(context, Action.DROP, *request.refs)
        refs = await self._threads.call(self._store.drop, list(request.refs))
        for ref in refs:
            self._holders.forget(ref)
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
        self._book.take(request)
        return progress_pb.ReportResponse()

    async def GetSnapshot(
        self, request: progress_pb.GetSnapshotRequest, context: Servicer
    ) -> progress_pb.GetSnapshotResponse:
        """How far each step is, and what is bound."""
        caller = await self._guard.caller(context)
        listed = self._guard.permits(caller, Action.LIST)
        followed = self._guard.permits(caller, Action.FOLLOW)
        bindings = await self._threads.look(self._store.bindings)
        return progress_pb.GetSnapshotResponse(
            steps=[step for step in self._book.steps() if followed(step.step_name)],
            bindings=[to_binding(bound) for bound in bindings if listed(bound.ref)],
        )


def build_server(
    store: Shelf, threads: Threads, guard: Guard, beside: Beside
) -> tuple[grpc.aio.Server, ExchangeServer]:
    """A server, not yet bound to a port, and its exchange."""
    server = grpc.aio.server(options=_OPTIONS)
    exchange = ExchangeServer(store, threads, guard, beside)
    methods = PlainReading(server, beside.tally)
    beside.tally.follow(exchange.traffic)
    exchange_grpc.add_ExchangeServiceServicer_to_server(exchange, methods)  # type: ignore[arg-type]
    methods.add_registered_method_handlers(frames.EXCHANGE_SERVICE, _bulk_handlers(exchange))
    if beside.book is not None:
        progress = ProgressServer(store, beside.book, threads, guard)
        progress_grpc.add_ProgressServiceServicer_to_server(progress, methods)  # type: ignore[arg-type]
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


def _messages(pieces: Pieces, count: int) -> Messages:
    return [
        (frames.encode_fetch(position, parts), sum(map(len, parts)))
        for position, parts in islice(pieces, count)
    ]
