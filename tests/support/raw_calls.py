"""Calls as bytes: whatever a client may send to any method, and what came back."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb

METHODS: Final[Mapping[str, MethodDescriptor]] = {
    f"/{service.full_name}/{method.name}": method
    for file in (pb.DESCRIPTOR, progress_pb.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}
"""Every call of both services, by its path."""
EXCHANGE: Final = f"/{pb.DESCRIPTOR.package}.ExchangeService"
PROGRESS: Final = f"/{progress_pb.DESCRIPTOR.package}.ProgressService"
WATCH: Final = f"{EXCHANGE}/Watch"
"""The one call that ends only when somebody ends it."""


@dataclass(frozen=True)
class Answer:
    """How a call ended."""

    code: grpc.StatusCode
    sentence: str
    messages: tuple[bytes, ...]

    @property
    def ok(self) -> bool:
        return self.code is grpc.StatusCode.OK


def call(
    channel: grpc.Channel, path: str, requests: Iterable[bytes], seconds: float = 60.0
) -> Answer:
    """Make any call: gRPC's frames are the same whether a side sends one message or many."""
    method: Any = channel.stream_stream(path)
    messages: list[bytes] = []
    answering = method(iter(requests), timeout=seconds)
    with suppress(grpc.RpcError):  # its code and sentence are the answer
        messages.extend(answering)
    return Answer(answering.code(), answering.details() or "", tuple(messages))
