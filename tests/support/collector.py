"""A collector of traces: OTLP over gRPC on loopback, which keeps what it is sent."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service


@dataclass(frozen=True)
class Span:
    """One span, as far as tests look at it."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    attributes: dict[str, Any]
    began_ns: int
    ended_ns: int
    failed: bool


@dataclass
class Collector(service.TraceServiceServicer):
    """Keeps spans; `silent`: takes calls and never answers them."""

    silent: bool = False
    spans: list[Span] = field(default_factory=list)
    address: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - gRPC's names
        """Take a batch."""
        if self.silent:
            self._ended.wait()
        for resource in request.resource_spans:
            named = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(it, str(named["service.name"])) for it in scope.spans]
        return pb.ExportTraceServiceResponse()

    @property
    def endpoint(self) -> str:
        """What a user sets."""
        return f"http://{self.address}"

    def named(self, name: str) -> list[Span]:
        """The spans of a name, in the order in which they began."""
        return sorted((it for it in self.spans if it.name == name), key=lambda it: it.began_ns)

    def parent_of(self, span: Span) -> Span:
        """The one above."""
        (found,) = (it for it in self.spans if it.span_id == span.parent_id)
        return found

    def end(self) -> None:
        """Let go of whoever waits for an answer."""
        self._ended.set()


@contextmanager
def collecting(*, silent: bool = False) -> Iterator[Collector]:
    """A collector that runs for a while."""
    collector = Collector(silent=silent)
    server = grpc.server(ThreadPoolExecutor(4))
    service.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    collector.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield collector
    finally:
        collector.end()
        server.stop(None).wait()


def _span(told: Any, service_name: str) -> Span:
    return Span(
        trace_id=told.trace_id.hex(),
        span_id=told.span_id.hex(),
        parent_id=told.parent_span_id.hex(),
        name=told.name,
        service=service_name,
        attributes=_plain(told.attributes),
        began_ns=told.start_time_unix_nano,
        ended_ns=told.end_time_unix_nano,
        failed=told.status.code == 2,
    )


def _plain(attributes: Sequence[Any]) -> dict[str, Any]:
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}
