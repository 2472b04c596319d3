"""What whoever serves says of what it served: a span for a transfer, a line for an artifact."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

import grpc

from atoll_telemetry import logs, tracing
from atoll_worker.exchange.index import Bound

S = TypeVar("S")  # the servicer
Q = TypeVar("Q")  # its question
R = TypeVar("R")  # its answer
Servicer = grpc.aio.ServicerContext[Any, Any]
Method = Callable[[S, Q, Servicer], Awaitable[R]]

_OFTEN: Final = ("checkpoints/", "islands/", "mergeability/")

_log = logging.getLogger(__name__)


def traced(name: str) -> Callable[[Method[S, Q, R]], Method[S, Q, R]]:
    """A call is a span of this name below its caller's, where the caller traces."""

    def decorate(method: Method[S, Q, R]) -> Method[S, Q, R]:
        @wraps(method)
        async def answer(server: S, request: Q, context: Servicer) -> R:
            with tracing.answer(name, context.invocation_metadata):
                return await method(server, request, context)

        return answer

    return decorate


def took_over(bound: Bound) -> None:
    """Say that an artifact is here for good.

    Checkpoints and what belongs to rounds come all the time: they are for whoever looks closer.
    """
    level = logging.DEBUG if bound.ref.startswith(_OFTEN) else logging.INFO
    said = logs.extra(ref=bound.ref, bytes=bound.size_bytes)
    _log.log(level, "took over %s, %d bytes", bound.ref, bound.size_bytes, extra=said)
