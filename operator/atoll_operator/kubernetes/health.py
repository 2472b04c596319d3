"""Health of the operator over plain HTTP: `/healthz` while its watches hear, `/readyz` once they have."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

_REQUEST_SECONDS: Final = 5.0
_MOST_LINES: Final = 100
Answers = dict[str, Callable[[], bool]]
"""What is well, by path."""


async def serve(port: int, answers: Answers) -> asyncio.Server:
    """Answer until the server is closed: 200 what is well, 503 what is not, 404 anything else."""
    return await asyncio.start_server(_handler(answers), host=None, port=port)


def _handler(
    answers: Answers,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                path = await _path(reader)
            writer.write(_answer(answers, path))
            await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # whoever asked is gone, or spoke no HTTP
        finally:
            writer.close()

    return handle


async def _path(reader: asyncio.StreamReader) -> str:
    first = (await reader.readline()).decode("latin-1").split()
    for _ in range(_MOST_LINES):
        if (await reader.readline()).strip() == b"":
            break
    return first[1] if len(first) > 1 and first[0] == "GET" else ""


def _answer(answers: Answers, path: str) -> bytes:
    status = "404 Not Found"
    if path in answers:
        status = "200 OK" if answers[path]() else "503 Service Unavailable"
    body = f"{status}\n"
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()
