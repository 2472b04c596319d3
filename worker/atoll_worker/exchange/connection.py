"""A connection to the hub or an island, and the patience to use it: what is retried, how long.

Mutual TLS only: a connection cannot be made without credentials.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import grpc
from grpc.experimental import ChannelOptions

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api import names
from atoll_api.names import Process
from atoll_worker.errors import (
    CorruptArtifactError,
    DisruptedError,
    IdentityError,
    NoSpaceError,
    RejectedError,
    UnavailableError,
    WorkerError,
)
from atoll_worker.exchange.calls import counted
from atoll_worker.exchange.frames import EXCHANGE_SERVICE, MAX_MESSAGE_BYTES, WRITTEN_BYTES
from atoll_worker.exchange.handshake import is_refused
from atoll_worker.exchange.identity import Credentials
from atoll_worker.tally import Tally

UNARY_SECONDS: Final = 10.0
"""Deadline of one attempt of a call that moves no blobs."""
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),  # the hub is never behind one
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # a hub that restarts is back within a second
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),  # a hub that moved has another address
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
_NO_THREAD_BETWEEN: Final = (ChannelOptions.SingleThreadedUnaryStream, 1)
"""Whoever reads a stream waits for the network itself: a thread of gRPC's between the two costs a
twentieth of a transfer."""
RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,  # an upload that ended: open it again
        grpc.StatusCode.CANCELLED,  # a hub that stops cancels what it cannot finish
    }
)
REFUSALS: Final[dict[grpc.StatusCode, type[WorkerError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: RejectedError,
    grpc.StatusCode.NOT_FOUND: RejectedError,
    grpc.StatusCode.FAILED_PRECONDITION: RejectedError,
    grpc.StatusCode.UNIMPLEMENTED: RejectedError,
    grpc.StatusCode.PERMISSION_DENIED: RejectedError,
    grpc.StatusCode.UNAUTHENTICATED: IdentityError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: NoSpaceError,
    grpc.StatusCode.DATA_LOSS: CorruptArtifactError,
}
_HANDSHAKES: Final = 3
"""Refused in a row, it seems, before the hub ever answered."""
_REFUSED_HANDSHAKE: Final = ("socket closed", "connection reset", "handshak", "ssl", "verification")
"""How gRPC words it: also of a hub that is frozen, or was killed, while it is dialled."""

LAST_SECONDS: Final = 5.0
"""For a process that was told to stop: what it leaves behind has to be written within 30 s."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to retry without anything moving."""

    first_seconds: float = 180.0
    """Until the hub answers for the first time."""
    later_seconds: float = 120.0
    """From then on; long enough for a hub that was killed to be started again."""
    stopping: Callable[[], bool] = lambda: False
    """Whether this process was told to stop: then `LAST_SECONDS` are all it has."""


class StalledError(Exception):
    """A transfer moved nothing for a while; it is worth another attempt."""


def backoff_seconds(failures: int, jitter: float) -> float:
    """The pause after the n-th failure in a row (from 1): exponential to 2 s.

    Args:
        failures: Attempts that failed since something last moved.
        jitter: In [0, 1); spreads over half of the pause those who failed together.
    """
    return min(2.0, 0.05 * 2.0 ** min(failures, 10)) * (0.5 + 0.5 * jitter)


class Effort:
    """One call and its retries: patience runs out only while nothing moves."""

    def __init__(self, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self.failures = 0
        self._since = time.monotonic()
        self._written_bytes = 0

    def written(self, count_bytes: int) -> None:
        """The hub is still writing an artifact, and has so many bytes by now."""
        if count_bytes > self._written_bytes:
            self._written_bytes = count_bytes
            self.moved()

    def moved(self) -> None:
        """Something got through."""
        self.failures = 0
        self._since = time.monotonic()

    def exhausted(self) -> bool:
        """Whether it is time to give up."""
        return self.still_seconds() >= self.patience_seconds

    def still_seconds(self) -> float:
        """Since anything moved."""
        return time.monotonic() - self._since


class Connection:
    """To the server at HOST:PORT. Safe to use from several threads."""

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        patience: Patience,
        server: Process | None = None,
        tally: Tally | None = None,
    ) -> None:
        """Nothing is dialled before the first call.

        Args:
            address: HOST:PORT.
            credentials: What this process proves itself with.
            patience: How long calls are retried.
            server: Who has to answer there; None: the hub of the same job.
            tally: Told of every call.
        """
        server = server or credentials.hub
        self.address = address
        self.title = "the hub" if server.role == names.HUB else server.step
        """What messages call the server."""
        self.role = server.role
        self._server = server
        self.tally = tally or Tally()
        self._credentials = credentials
        self._patience = patience
        self._answered = False
        self._refused_handshakes = 0
        self._closed = threading.Event()
        # Servers are dialled by address and known by name; gRPC cannot compare URIs.
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", server.host))
        self._channel = grpc.secure_channel(address, credentials.for_channel(), options)
        told = counted(self._channel, self.tally)
        self.exchange = exchange_grpc.ExchangeServiceStub(told)
        self.progress = progress_grpc.ProgressServiceStub(told)
        # Bytes go on a connection of their own: a control call never waits behind them.
        self._bulk = grpc.secure_channel(
            address, credentials.for_channel(), (*options, _NO_THREAD_BETWEEN)
        )
        self.publish: Any = self._bulk.stream_stream(f"/{EXCHANGE_SERVICE}/Publish")
        self.fetch: Any = self._bulk.unary_stream(
            f"/{EXCHANGE_SERVICE}/Fetch", request_serializer=pb.FetchRequest.SerializeToString
        )

    def close(self) -> None:
        """Cancel what runs and close the channel."""
        self._closed.set()
        self._channel.close()
        self._bulk.close()

    def retry(self, attempt: Callable[[Effort], T], patience_seconds: float | None = None) -> T:
        """Make attempts until one succeeds.

        Raises:
            UnavailableError: nothing moved for as long as the patience lasts.
            DisruptedError: told to stop, and nothing moves.
            IdentityError: the hub, or this process, does not accept the other's certificate.
            WorkerError: the hub refused; which one depends on its status.
        """
        if patience_seconds is None:
            later = self._answered
            patience_seconds = (
                self._patience.later_seconds if later else self._patience.first_seconds
            )
        effort = Effort(patience_seconds)
        while True:
            try:
                result = attempt(effort)
            except grpc.RpcError as error:
                reason = self._refuse(error)
                effort.written(_written_bytes(error))
            except StalledError as error:
                reason = str(error)
            else:
                self._answered = True
                return result
            self._pause(effort, reason)

    def _pause(self, effort: Effort, reason: str) -> None:
        effort.failures += 1
        if self._patience.stopping() and effort.still_seconds() >= LAST_SECONDS:
            raise DisruptedError(f"told to stop while {self.title} did not answer: {reason}")
        if not effort.exhausted():
            self._closed.wait(backoff_seconds(effort.failures, random.random()))
        if effort.exhausted() or self._closed.is_set():
            raise UnavailableError(
                f"{self.title} at {self.address} did not answer for "
                f"{effort.patience_seconds:.0f} s ({reason}): see its log"
            )

    def _refuse(self, error: grpc.RpcError) -> str:
        """The reason of an error that a retry may mend; any other is raised as ours."""
        call = cast(grpc.Call, error)  # gRPC raises its calls
        code = call.code()
        details = " ".join((call.details() or code.name).split())
        if code in RETRYABLE:
            self._count_handshake(code, details)
            return details
        if code is grpc.StatusCode.UNIMPLEMENTED:
            details = (
                f"{self.title} at {self.address} cannot do that ({details}): update Atoll there"
            )
        raise REFUSALS.get(code, WorkerError)(details) from error

    def _count_handshake(self, code: grpc.StatusCode, details: str) -> None:
        """A few that seem to be refused in a row: see whether they are."""
        if self._answered or code is not grpc.StatusCode.UNAVAILABLE:
            return
        refused = any(word in details.lower() for word in _REFUSED_HANDSHAKE)
        self._refused_handshakes = self._refused_handshakes + 1 if refused else 0
        if self._refused_handshakes < _HANDSHAKES:
            return
        self._refused_handshakes = 0
        if is_refused(self.address, self._credentials, self._server):
            raise IdentityError(
                f"{self.title} at {self.address} and {self._credentials.process.step} do not accept "
                f"each other's certificates ({details}): both must be of the same run of the job, "
                "and their clocks right to the hour"
            )


def _written_bytes(error: grpc.RpcError) -> int:
    """How far the hub says that it is; 0 if it says nothing."""
    call = cast(grpc.Call, error)
    if call.code() is not grpc.StatusCode.ABORTED:
        return 0  # a call that was cancelled here has no metadata to look at
    told = str(dict(call.trailing_metadata() or ()).get(WRITTEN_BYTES, ""))
    return int(told) if told.isdecimal() else 0
