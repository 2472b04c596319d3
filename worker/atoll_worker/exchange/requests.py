"""How requests are read: what is none, or asks for too much, is refused with a sentence. Pure.

gRPC reads a message before any code of ours, and answers one that it cannot read with the name of
a Python class. A list of empty messages takes 20 times its bytes in memory, so whatever has a list
is measured before it is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError, Message

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_worker.exchange.calls import served
from atoll_worker.exchange.content import MAX_RUNS
from atoll_worker.tally import Tally

MAX_REFS: Final = 4096
MAX_PREFIXES: Final = 64


@dataclass(frozen=True)
class Bounds:
    """What one kind of message may hold."""

    size_bytes: int
    field: str = ""
    """One that is repeated."""
    count: int = 0
    """How often that one may stand in it."""


@dataclass(frozen=True)
class Unreadable:
    """Stands where the message should be."""

    sentence: str


_BOUNDS: Final[Mapping[type[Message], Bounds]] = {
    pb.FetchRequest: Bounds(2 << 20, "ranges", MAX_RUNS),
    pb.DropRequest: Bounds(2 << 20, "refs", MAX_REFS),
    pb.WatchRequest: Bounds(64 << 10, "prefixes", MAX_PREFIXES),
    progress_pb.ReportRequest: Bounds(64 << 10),
}


def read(kind: type[Message], content: bytes) -> Message | Unreadable:
    """A message of a kind, or why it is none."""
    name, bounds = kind.DESCRIPTOR.name, _BOUNDS.get(kind)
    if bounds is not None and len(content) > bounds.size_bytes:
        return Unreadable(f"a {name} of {len(content)} bytes, the limit is {bounds.size_bytes}")
    try:
        message = kind.FromString(content)
    except DecodeError:
        return Unreadable(f"the {len(content)} bytes sent are no {name}")
    if bounds is not None and bounds.field:
        count = len(getattr(message, bounds.field))
        if count > bounds.count:
            return Unreadable(f"{count} {bounds.field} in one call, the limit is {bounds.count}")
    return message


class PlainReading:
    """Takes the place of a server where methods are registered: they then read with `read`.

    And are told of when they have answered.
    """

    def __init__(self, server: grpc.aio.Server, tally: Tally) -> None:
        self._server = server
        self._tally = tally

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Pass over: the same methods are registered one by one."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """As the server's own, with another reader."""
        self._server.add_registered_method_handlers(
            service,
            {name: served(name, _reading(it), self._tally) for name, it in handlers.items()},
        )


def _reading(handler: Any) -> Any:
    """A generated handler reads with `Message.FromString`, which knows its kind."""
    own = handler.request_deserializer
    if own is None:
        return handler
    reader: Callable[[bytes], Message | Unreadable] = _reader(own.__self__)
    return handler._replace(request_deserializer=reader)


def _reader(kind: type[Message]) -> Callable[[bytes], Message | Unreadable]:
    return lambda content: read(kind, content)
