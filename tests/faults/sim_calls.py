"""Calls between simulated processes: the real handlers behind a network that obeys a fault plan."""

import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar, cast

import grpc
from crashing_disk import PowerCutError
from virtual_time import VirtualLoop

from atoll_api.names import Process
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.server import Beside, ExchangeServer, ProgressServer, Threads
from atoll_worker.exchange.shelf import Shelf

T = TypeVar("T")
Call = Callable[["Served"], Awaitable[T]]
"""What a caller wants of a server, in one go."""

LATENCY_SECONDS = 0.005
SLOW_SECONDS = 1.0
DEADLINE_SECONDS = 10.0
REFUSED_SECONDS = 0.05


class CallError(Exception):
    """A call that ended with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Inline(Threads):
    """Runs what may block at once: nothing blocks here."""

    def __init__(self) -> None:
        pass

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """See `Threads.call`."""
        return function(*arguments)

    async def look(self, function: Callable[..., T], *arguments: object) -> T:
        """See `Threads.look`."""
        return function(*arguments)


class Caller:
    """The context of one call: who makes it, what it sends, and what it is sent."""

    def __init__(self, process: Process, sends: Sequence[bytes] = ()) -> None:
        self._uri = process.uri.encode()
        self._sends = list(sends)
        self.written: list[Any] = []

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        """Its certificate has been checked."""
        return {"peer_uri": (self._uri,)}

    def invocation_metadata(self) -> tuple[()]:
        """It traces nothing."""
        return ()

    async def abort(
        self, code: grpc.StatusCode, details: str = "", _trailing: object = ()
    ) -> NoReturn:
        """End the call with a status."""
        raise CallError(code, details)

    async def send_initial_metadata(self, _metadata: object) -> None:
        """Nobody waits for it."""

    async def read(self) -> object:
        """The next message."""
        return self._sends.pop(0) if self._sends else grpc.aio.EOF

    async def write(self, message: object) -> None:
        """Take an answer."""
        self.written.append(message)


@dataclass
class Served:
    """A server of one process: the hub's, or an island's."""

    step: str
    shelf: Shelf
    guard: Guard
    loop: VirtualLoop
    beside: Beside = field(default_factory=Beside)
    is_up: Callable[[], bool] = lambda: True
    is_frozen: Callable[[], bool] = bool
    broke: Callable[[], None] = lambda: None
    """Called when its machine lost the power in the middle of a call."""
    changed: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        threads = Inline()
        self.exchange = ExchangeServer(self.shelf, threads, self.guard, self.beside)
        book = self.beside.book
        self.progress = (
            None if book is None else ProgressServer(self.shelf, book, threads, self.guard)
        )

    def do(self, call: Call[T]) -> T:
        """Carry out one call, whole, in a moment.

        Raises:
            CallError: it ended with a status.
        """
        try:
            return self._run(call(self))
        except PowerCutError:
            self.broke()
            raise CallError(grpc.StatusCode.UNAVAILABLE, "Socket closed") from None
        finally:
            self.changed()

    def _run(self, handler: Awaitable[T]) -> T:
        if threading.current_thread() is not threading.main_thread():  # a strand
            return self.loop.run_until_complete(handler)  # transfers have timers of their own
        assert isinstance(handler, Coroutine)
        try:  # the operator: none of its calls waits for anything
            handler.send(None)
        except StopIteration as ended:
            return cast("T", ended.value)
        raise AssertionError("the call waits")


@dataclass
class Network:
    """Who can reach whom, and how fast."""

    now: Callable[[], float]
    servers: dict[str, Served] = field(default_factory=dict)
    """By address."""
    cut_until: dict[str, float] = field(default_factory=dict)
    slow_until: dict[str, float] = field(default_factory=dict)

    def delay_seconds(self, *steps: str) -> float:
        """Of a message one way."""
        slow = any(self.now() < self.slow_until.get(it, 0.0) for it in steps)
        return SLOW_SECONDS if slow else LATENCY_SECONDS

    def server(self, address: str, caller: str) -> Served:
        """Who answers there.

        Raises:
            CallError: nobody.
        """
        found = self.servers.get(address)
        if found is None or not found.is_up() or self.is_cut(caller, found.step):
            raise CallError(grpc.StatusCode.UNAVAILABLE, "Connection refused")
        return found

    def is_cut(self, *steps: str) -> bool:
        """Whether no message passes between them."""
        return any(self.now() < self.cut_until.get(it, 0.0) for it in steps)
