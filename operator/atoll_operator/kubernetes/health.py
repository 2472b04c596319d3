"""The operator over plain HTTP: `/healthz` while its watches hear, `/readyz` once they have, `/metrics`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

_REQUEST_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 30.0
"""For whoever reads slowly: metrics of a thousand jobs are megabytes."""
_MOST_LINES: Final = 100
_TEXT: Final = "text/plain"
Answers = dict[str, Callable[[], bool]]
"""What is well, by path."""
Metrics = Callable[[str], Awaitable[tuple[bytes, str]]]
"""The metrics as text and the type of that text, for an `Accept` header."""

_log = logging.getLogger(__name__)


class _Request(NamedTuple):
    path: str
    """Without its query; empty if it is no GET."""
    accept: str


class _Answer(NamedTuple):
    status: str
    body: bytes
    content_type: str = _TEXT


async def serve(
    port: int, answers: Answers, metrics: Metrics, host: str | None = None
) -> asyncio.Server:
    """Answer until the server is closed: 200 what is well, 503 what is not, 404 anything else.

    At all addresses of this machine, unless one is named.
    """
    return await asyncio.start_server(_handler(answers, metrics), host=host, port=port)


def _handler(
    answers: Answers, metrics: Metrics
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = await _read(reader)
            answer = await _answer(answers, metrics, request)
            async with asyncio.timeout(_ANSWER_SECONDS):
                writer.write(_encoded(answer))
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            writer.transport.abort()  # whoever asked is gone, or spoke no HTTP
        finally:
            writer.close()

    return handle


async def _read(reader: asyncio.StreamReader) -> _Request:
    first = (await reader.readline()).decode("latin-1").split()
    accept: list[str] = []
    for _ in range(_MOST_LINES):
        name, _, value = (await reader.readline()).decode("latin-1").strip().partition(":")
        if not name:
            break
        if name.lower() == "accept":
            accept.append(value.strip())
    asked = first[1] if len(first) > 1 and first[0] == "GET" else ""
    return _Request(asked.partition("?")[0], ",".join(accept))


async def _answer(answers: Answers, metrics: Metrics, request: _Request) -> _Answer:
    if request.path == "/metrics":
        return await _measured(metrics, request.accept)
    status = "404 Not Found"
    if request.path in answers:
        status = "200 OK" if answers[request.path]() else "503 Service Unavailable"
    return _Answer(status, f"{status}\n".encode())


async def _measured(metrics: Metrics, accept: str) -> _Answer:
    """A number that cannot be had is no reason to end the operator, but one to say so."""
    try:
        body, content_type = await metrics(accept)
    except Exception:  # noqa: BLE001 # whatever it is, jobs go on
        _log.exception("the metrics cannot be told")
        return _Answer("500 Internal Server Error", b"see the operator's log\n")
    return _Answer("200 OK", body, content_type)


def _encoded(answer: _Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + answer.body
