"""How long gRPC calls take, on both sides, and how they end. Bytes are `traffic`'s.

Where nothing is counted, nothing is put between a caller and gRPC.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps
from typing import Any, Final

import grpc

from atoll_worker.tally import Tally

_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
_BEHAVIOURS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class ClientCalls(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Tells of each call that a channel makes."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """A question and its answer."""
        began = time.monotonic()
        call = continuation(details, request)
        self._tell(details.method, call, began)
        return call

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """A question and what comes of it, to the end."""
        began = time.monotonic()
        call = continuation(details, request)
        call.add_done_callback(lambda ended: self._tell(details.method, ended, began))
        return call

    def _tell(self, method: str, call: Any, began: float) -> None:
        name = method.rpartition("/")[2]
        self._tally.call_ended(name, "client", call.code().name, time.monotonic() - began)


def counted(channel: grpc.Channel, tally: Tally) -> grpc.Channel:
    """A channel whose calls are told of; the same one where nobody counts."""
    return grpc.intercept_channel(channel, ClientCalls(tally)) if tally.counts else channel


@contextmanager
def timed(tally: Tally, method: str, call: Any) -> Iterator[None]:
    """Tell of a call that moves blobs; it has to be over, or cancelled, by the end of the block.

    No interceptor: gRPC would not say that a stream without a thread of its own was cancelled.
    """
    began = time.monotonic()
    try:
        yield
    finally:
        tally.call_ended(method, "client", _code_of(call), time.monotonic() - began)


def _code_of(call: Any) -> str:
    code = call.code() if call.done() else None
    return (code or grpc.StatusCode.CANCELLED).name


def served(name: str, handler: Any, tally: Tally) -> Any:
    """A handler that tells of each call that it has answered."""
    if not tally.counts:
        return handler
    kind = next(it for it in _BEHAVIOURS if getattr(handler, it) is not None)
    behaviour = getattr(handler, kind)
    wrap = _streaming if inspect.isasyncgenfunction(behaviour) else _answering
    return handler._replace(**{kind: wrap(behaviour, _Served(name, tally))})


class _Served:
    """One method of a server."""

    def __init__(self, name: str, tally: Tally) -> None:
        self._name = name
        self._tally = tally

    @contextmanager
    def call(self, context: Any) -> Iterator[None]:
        began, code = time.monotonic(), ""
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED.name
            raise
        except BaseException:
            code = _said(context) or grpc.StatusCode.UNKNOWN.name
            raise
        finally:
            code = code or _said(context) or grpc.StatusCode.OK.name
            self._tally.call_ended(self._name, "server", code, time.monotonic() - began)


def _said(context: Any) -> str:
    """The status that a handler has set; empty for none."""
    code = context.code()
    number = code.value[0] if isinstance(code, grpc.StatusCode) else code
    return _CODES.get(number, "") if number else ""


def _answering(behaviour: Callable[..., Any], method: _Served) -> Callable[..., Any]:
    @wraps(behaviour)
    async def answer(request: Any, context: Any) -> Any:
        with method.call(context):
            return await behaviour(request, context)

    return answer


def _streaming(behaviour: Callable[..., Any], method: _Served) -> Callable[..., Any]:
    @wraps(behaviour)
    async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
        with method.call(context):
            async with aclosing(behaviour(request, context)) as found:
                async for answer in found:
                    yield answer

    return answers
