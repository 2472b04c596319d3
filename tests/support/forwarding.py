"""A server of another version: it hands every call on to a real one, and changes what it says."""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from atoll_worker.exchange.identity import Credentials

LATER: Final = b"\x98\x06\x07" + b"\xa2\x06\x05later" + b"\xad\x06\0\0\0\0" + b"\xb1\x06" + bytes(8)
"""Fields 99 to 102, of every kind that a later version can add."""

_LONG: Final = 600.0
"""Seconds: where there is no deadline, gRPC says the age of the universe, and takes no such one."""

Change = Callable[[str, bytes], bytes]
"""(path, a message) -> what arrives in its place."""


def with_later_fields(kind: Descriptor, content: bytes) -> bytes:
    """A message as a later version may write it: more fields in it, and in all that it holds."""
    message = GetMessageClass(kind).FromString(content)
    _extend(message)
    return message.SerializeToString()


def _extend(message: Message) -> None:
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                _extend(one)
    message.MergeFromString(LATER)


def same(_: str, content: bytes) -> bytes:
    """No change."""
    return content


@dataclass(frozen=True)
class Version:
    """How a server differs from the one behind it."""

    answers: Change = same
    """Changes each message on its way back."""
    unknown: Collection[str] = ()
    """Paths of methods that it does not have."""
    notice: bytes = b""
    """Sent before the first message of every Fetch."""


@contextmanager
def forwarding(channel: grpc.Channel, proof: Credentials, version: Version) -> Iterator[str]:
    """Serve until the block ends; HOST:PORT.

    Args:
        channel: To the real server; every call arrives there as whoever this is of.
        proof: What to serve with.
        version: What is different here.
    """
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((_Forward(channel, version),))
    port = server.add_secure_port("127.0.0.1:0", proof.for_server())
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


class _Forward(grpc.GenericRpcHandler):
    def __init__(self, channel: grpc.Channel, version: Version) -> None:
        self._channel = channel
        self._version = version

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        path, version = details.method, self._version
        if path in version.unknown:
            return None

        def behave(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            method: Any = self._channel.stream_stream(path)
            seconds = min(context.time_remaining() or _LONG, _LONG)
            answering = method(requests, timeout=seconds)
            context.add_callback(answering.cancel)
            if version.notice and path.endswith("/Fetch"):
                yield version.notice
            try:
                for answer in answering:
                    yield version.answers(path, answer)
            except grpc.RpcError:
                context.abort(answering.code(), answering.details())

        return grpc.stream_stream_rpc_method_handler(behave)
