"""Spans by OpenTelemetry's SDK, sent over OTLP/gRPC. Imported only where traces are asked for.

The standard variables hold: `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`,
`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`. A collector that is away costs spans and nothing else.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from atoll_telemetry import subject
from atoll_telemetry.subject import Value
from atoll_telemetry.tracing import Attributes, Place

_LAST_SECONDS: Final = 1.5
"""Of one attempt to send when the process ends."""
_HOPELESS_SECONDS: Final = 0.3
"""When the process ends, an attempt that began before may take so much longer."""
_NOT_RETRIED: Final = frozenset({grpc.StatusCode.ABORTED})
"""There is no time to wait for a collector that is away; the SDK takes no empty set."""

_log = logging.getLogger(__name__)


def start(service: str, where: str) -> "OtlpTracer":
    """A tracer that sends to the collector that the environment names.

    Raises:
        ValueError: a variable is nonsense.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # `_Exporter` says it once
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    ids = _Ids()
    provider = TracerProvider(
        resource=Resource.create(named),
        id_generator=ids,
        span_limits=SpanLimits(),
        shutdown_on_exit=False,  # it would wait for half a minute
    )
    exporter = _Exporter(where)
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    return OtlpTracer(provider, processor, exporter, ids)


class OtlpTracer:
    """Implements `tracing.Tracer`."""

    def __init__(
        self,
        provider: TracerProvider,
        processor: BatchSpanProcessor,
        exporter: "_Exporter",
        ids: "_Ids",
    ) -> None:
        self._provider = provider
        self._processor = processor
        self._exporter = exporter
        self._ids = ids
        self._tracer = provider.get_tracer("atoll")

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        parent: Place | None = None,
        began_ns: int | None = None,
    ) -> Iterator[None]:
        """See `tracing.Tracer.span`."""
        context = None if parent is None else self._below(parent)
        said = _named({**subject.now(), **attributes})
        with self._tracer.start_as_current_span(
            name, context=context, attributes=said, start_time=began_ns
        ):
            yield

    def note(self, attributes: Attributes) -> None:
        """See `tracing.Tracer.note`."""
        trace.get_current_span().set_attributes(_named(attributes))

    def here(self) -> Place | None:
        """See `tracing.Tracer.here`."""
        context = trace.get_current_span().get_span_context()
        sent = context.is_valid and context.trace_flags.sampled
        return Place(context.trace_id, context.span_id) if sent else None

    def root(self, name: str, place: Place, began: float, attributes: Attributes) -> None:
        """See `tracing.Tracer.root`."""
        said = _named({**subject.now(), **attributes})
        with self._ids.fixed(place):
            span = self._tracer.start_span(
                name, context=Context(), attributes=said, start_time=int(began * 1e9)
            )
        span.end()

    def shut_down(self, seconds: float) -> None:
        """See `tracing.Tracer.shut_down`."""
        until = time.monotonic() + seconds
        self._exporter.hurry()
        flushing = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        flushing.start()
        flushing.join(min(_HOPELESS_SECONDS, seconds))
        self._exporter.give_up_waiting()
        flushing.join(max(0.0, until - time.monotonic()))
        self._exporter.shutdown()
        flushing.join(_HOPELESS_SECONDS)  # it has nothing left to wait for

    def _below(self, parent: Place) -> Context:
        """The sampler is asked of the whole trace: so all processes decide alike."""
        decided = self._provider.sampler.should_sample(None, parent.trace_id, "job")
        sampled = decided.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        above = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(NonRecordingSpan(above), Context())


class _Exporter(SpanExporter):
    """Retries while there is time, and not at the end; says once that spans are lost."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._usual = OTLPSpanExporter()
        self._last = OTLPSpanExporter(timeout=_LAST_SECONDS, retryable_error_codes=_NOT_RETRIED)
        self._hurried = False
        self._lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; called on one thread."""
        result = SpanExportResult.FAILURE
        if not self._hurried:
            result = self._usual.export(spans)
        if result is not SpanExportResult.SUCCESS and self._hurried:
            result = self._last.export(spans)
        self._tell(lost=result is not SpanExportResult.SUCCESS)
        return result

    def hurry(self) -> None:
        """The process ends: wait for nobody from now on."""
        self._hurried = True

    def give_up_waiting(self) -> None:
        """End an attempt that began before, and may be waiting to try again."""
        self._usual.shutdown()

    def shutdown(self) -> None:
        """Cancel what is on its way."""
        self._usual.shutdown()
        self._last.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's name
        """Nothing is kept here."""
        return True

    def _tell(self, *, lost: bool) -> None:
        if lost and not self._lost and not self._hurried:
            _log.warning("%s takes no traces: they are lost until it does", self._where)
        elif self._lost and not lost:
            _log.info("%s takes traces again", self._where)
        self._lost = lost


class _Ids(RandomIdGenerator):
    """Random ids, but for the root of a trace, which everybody knew before it was told."""

    def __init__(self) -> None:
        self._fixed: ContextVar[Place | None] = ContextVar("ids", default=None)

    @contextmanager
    def fixed(self, place: Place) -> Iterator[None]:
        """The next root has this place."""
        token = self._fixed.set(place)
        try:
            yield
        finally:
            self._fixed.reset(token)

    def generate_trace_id(self) -> int:
        """See `IdGenerator`."""
        place = self._fixed.get()
        return super().generate_trace_id() if place is None else place.trace_id

    def generate_span_id(self) -> int:
        """See `IdGenerator`."""
        place = self._fixed.get()
        return super().generate_span_id() if place is None else place.span_id


def _named(attributes: Attributes) -> dict[str, Value]:
    """Under our own name: OpenTelemetry's conventions have none for a training."""
    return {f"atoll.{name}": it for name, it in attributes.items() if it is not None}
