"""Traces of a job over OpenTelemetry; nothing at all unless somebody asks for them.

Asked for by `OTEL_EXPORTER_OTLP_ENDPOINT`, or its variant for traces. Only then is the SDK loaded, by
`otlp`; else a span is a call that does nothing.

One job is one trace. Its ids follow from the job's uid, so that operator, hub and islands write of one
trace without a word between them.

    with tracing.span("train", steps=1000):
        ...
        tracing.note(bytes=17)
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol
from urllib.parse import urlsplit

from atoll_telemetry.subject import Value

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The first that is set counts."""
ENV_PARENT: Final = "TRACEPARENT"
"""Where a process finds the trace it belongs to, if that does not follow from the job's uid."""
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
DEFAULT_PORT: Final = 4317
FLUSH_SECONDS: Final = 2.0
"""A process that ends waits so long for its last spans to be taken, and no longer."""

_OFF: Final[AbstractContextManager[None]] = nullcontext()
_HEADER: Final = "traceparent"
_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_log = logging.getLogger(__name__)

Attributes = Mapping[str, Value | None]
"""One that is None is not known, and left out."""
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Place:
    """Where spans belong that have none above them in this process."""

    trace_id: int
    """128 bits."""
    span_id: int
    """64 bits."""

    def __str__(self) -> str:
        """As W3C Trace Context writes it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


class Tracer(Protocol):
    """What makes spans; `otlp.OtlpTracer` is one."""

    def span(
        self,
        name: str,
        attributes: Attributes,
        parent: Place | None = None,
        began_ns: int | None = None,
    ) -> AbstractContextManager[None]:
        """A span that lasts as long as the block; below `parent`, or else what is around it."""
        ...

    def note(self, attributes: Attributes) -> None:
        """Say more of the span that is around."""
        ...

    def here(self) -> Place | None:
        """The span that is around, if any is, and if it is one that is sent."""
        ...

    def root(self, name: str, place: Place, began: float, attributes: Attributes) -> None:
        """The whole of a trace, told once it is over."""
        ...

    def shut_down(self, seconds: float) -> None:
        """Send what is left, as far as it goes."""
        ...


class _Now:
    """What this process traces with, if it does."""

    tracer: Tracer | None = None
    collector: str = ""
    place: Place | None = None


_place: ContextVar[Place | None] = ContextVar("trace", default=None)


def endpoint(environment: Mapping[str, str]) -> str:
    """Where spans are sent to; empty when nobody asks for traces."""
    said = {name: it.strip() for name, it in environment.items()}
    if said.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    if said.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return ""
    return next((said[name] for name in ENDPOINTS if said.get(name)), "")


def address_of(where: str) -> str:
    """HOST:PORT of an endpoint, which is a URL or that itself; empty for an empty one.

    Raises:
        ValueError: its port is no number.
    """
    if not where:
        return ""
    parts = urlsplit(where if "://" in where else f"//{where}")
    return f"{parts.hostname or ''}:{parts.port or DEFAULT_PORT}"


def set_up(service: str, environment: Mapping[str, str] | None = None) -> None:
    """Trace from now on, if that is asked for. Never fails: without traces the work goes on.

    Args:
        service: the name of this kind of process, where `OTEL_SERVICE_NAME` says none.
        environment: this process's own, if not given.
    """
    environment = os.environ if environment is None else environment
    where = endpoint(environment)
    if not where or _Now.tracer is not None:
        return
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "grpc")
    if protocol != "grpc":
        _log.warning(
            "no traces: they are sent by OTLP/gRPC alone, and the protocol is %s", protocol
        )
        return
    try:
        address_of(where)
        _Now.tracer = import_module("atoll_telemetry.otlp").start(service, where)
    except ImportError as error:
        _log.warning("no traces: %s is not there; install atoll[tracing]", error.name)
        return
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the work is not
        _log.warning("no traces: %s: %s", type(error).__name__, error)
        return
    _Now.collector = where
    _Now.place = _parsed(environment.get(ENV_PARENT, ""))
    _log.info("traces go to %s", where)


def place_of(key: str) -> Place:
    """The trace of a job, by its uid.

    A digest, not the uid itself: samplers go by the bits of a trace's id, and some of a uid are fixed.
    """
    digest = hashlib.sha256(f"atoll:{key}".encode()).digest()
    return Place(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]))


@contextmanager
def trace(key: str) -> Iterator[None]:
    """What happens in the block belongs to the trace of this key."""
    token = _place.set(place_of(key)) if _Now.tracer else None
    try:
        yield
    finally:
        if token is not None:
            _place.reset(token)


@contextmanager
def attempt(name: str, key: str) -> Iterator[None]:
    """All that this process does, on whichever thread, is a span of this name.

    Of the trace that its parent told it of, or else of the trace of this key.
    """
    if _Now.tracer is None:
        yield
        return
    told = _Now.place
    with _Now.tracer.span(name, {}, told or place_of(key)):
        _Now.place = _Now.tracer.here() or told or place_of(key)
        try:
            yield
        finally:
            _Now.place = told


def span(
    name: str, *, began_ns: int | None = None, **attributes: Value | None
) -> AbstractContextManager[None]:
    """What lasts as long as the block; an error in it is noted.

    Args:
        name: of what is done, the same each time.
        began_ns: since the epoch, if it began before the block.
        attributes: what it was done with.
    """
    tracer = _Now.tracer
    if tracer is None:
        return _OFF
    return tracer.span(name, attributes, None if tracer.here() else _around(), began_ns)


def note(**attributes: Value | None) -> None:
    """Say more of the span that is around."""
    if _Now.tracer is not None:
        _Now.tracer.note(attributes)


def headers() -> Headers | None:
    """What tells the callee of a call which span it is a part of; gRPC's `metadata`."""
    if _Now.tracer is None:
        return None
    place = _Now.tracer.here()
    return None if place is None else ((_HEADER, str(place)),)


def answer(
    name: str, headers: Callable[[], object], **attributes: Value | None
) -> AbstractContextManager[None]:
    """A span of a callee, below the caller's; below this process's own if that one does not trace.

    Args:
        name: as for `span`.
        headers: gives what came with the call, pairs of a name and a value.
        attributes: as for `span`.
    """
    if _Now.tracer is None:
        return _OFF
    found = headers()
    pairs = found if isinstance(found, tuple | list) else ()
    parent = next((_parsed(str(value)) for name, value in pairs if name == _HEADER), None)
    return _Now.tracer.span(name, attributes, parent or _around())


def root(name: str, began: float, **attributes: Value | None) -> None:
    """Tell of the whole trace, from `began` (seconds since the epoch) until now."""
    place = _place.get()
    if _Now.tracer is not None and place is not None:
        _Now.tracer.root(name, place, began, attributes)


def environment() -> dict[str, str]:
    """What a child process is told, to write of this trace."""
    place = _place.get()
    return {} if _Now.tracer is None or place is None else {ENV_PARENT: str(place)}


def ids() -> dict[str, str]:
    """Of the span that is around, for lines of logs."""
    place = None if _Now.tracer is None else _Now.tracer.here() or _around()
    if place is None:
        return {}
    return {"trace_id": f"{place.trace_id:032x}", "span_id": f"{place.span_id:016x}"}


def collector() -> str:
    """HOST:PORT to which this process sends spans; empty while it does not trace."""
    return address_of(_Now.collector)


def now_ns() -> int:
    """Nanoseconds since the epoch, for `began_ns`."""
    return time.time_ns()


def shut_down(seconds: float = FLUSH_SECONDS) -> None:
    """Send what is left, for so long at most. Nothing is traced afterwards."""
    tracer, _Now.tracer, _Now.collector, _Now.place = _Now.tracer, None, "", None
    if tracer is not None:
        tracer.shut_down(seconds)


def _around() -> Place | None:
    return _place.get() or _Now.place


def _parsed(text: str) -> Place | None:
    found = _PARENT.fullmatch(text.strip())
    if found is None:
        return None
    place = Place(int(found[1], 16), int(found[2], 16))
    return place if place.trace_id and place.span_id else None
