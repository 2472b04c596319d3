"""What the operator's port answers over HTTP: to probes, to scrapers, and to nonsense."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families

from atoll_operator.kubernetes import health
from atoll_operator.kubernetes.measuring import Levels, Measurements


@dataclass
class Operator:
    """One that answers on loopback."""

    port: int = 0
    well: bool = True
    broken: bool = False
    accepted: list[str] = field(default_factory=list)
    measurements: Measurements = field(default_factory=lambda: Measurements("0.1.0"))

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        self.accepted.append(accept)
        if self.broken:
            raise RuntimeError("a number is missing")
        return self.measurements.exposition(Levels(), accept)

    async def ask(self, sent: bytes) -> tuple[str, dict[str, str], bytes]:
        """Status, headers and body; all empty if it hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        return status, dict(it.split(": ", 1) for it in lines), body

    async def get(self, path: str, *headers: str) -> tuple[str, dict[str, str], bytes]:
        lines = "".join(f"{it}\r\n" for it in headers)
        return await self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())


@asynccontextmanager
async def serving() -> AsyncIterator[Operator]:
    operator = Operator()
    answers = {"/healthz": lambda: operator.well}
    server = await health.serve(0, answers, operator.metrics, "127.0.0.1")
    async with server:
        operator.port = server.sockets[0].getsockname()[1]
        yield operator


async def test_probes_are_told_what_is_well() -> None:
    async with serving() as operator:
        assert (await operator.get("/healthz"))[0] == "HTTP/1.1 200 OK"
        operator.well = False
        assert (await operator.get("/healthz"))[0] == "HTTP/1.1 503 Service Unavailable"
        assert (await operator.get("/"))[0] == "HTTP/1.1 404 Not Found"


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=up"])
async def test_a_scraper_is_told_all_numbers(path: str) -> None:
    async with serving() as operator:
        status, headers, body = await operator.get(path)
    assert status == "HTTP/1.1 200 OK"
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert int(headers["Content-Length"]) == len(body)
    found = {it.name for it in text_string_to_metric_families(body.decode())}
    assert {"atoll_operator_leader", "process_resident_memory_bytes"} <= found


async def test_what_a_scraper_accepts_arrives() -> None:
    async with serving() as operator:
        asked = "accept: application/openmetrics-text;version=1.0.0"
        _, headers, body = await operator.get("/metrics", asked, "Accept: */*")
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")
        assert operator.accepted == ["application/openmetrics-text;version=1.0.0,*/*"]


async def test_a_number_that_cannot_be_had_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as operator:
        operator.broken = True
        with caplog.at_level(logging.ERROR):
            assert (await operator.get("/metrics"))[0] == "HTTP/1.1 500 Internal Server Error"
        assert "a number is missing" in caplog.text
        assert (await operator.get("/healthz"))[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", "HTTP/1.1 404 Not Found"),
        (b"\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"\xff\xfe\x00 /metrics\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 1000, "HTTP/1.1 200 OK"),
    ],
    ids=["nothing", "empty lines", "post", "no path", "no text", "a thousand headers"],
)
async def test_nonsense_is_answered_and_ends_nothing(sent: bytes, status: str) -> None:
    async with serving() as operator:
        assert (await operator.ask(sent))[0] == status
        assert (await operator.get("/healthz"))[0] == "HTTP/1.1 200 OK"


async def test_a_line_without_end_is_hung_up_on() -> None:
    async with serving() as operator:
        try:
            status, _, _ = await operator.ask(b"GET /" + b"a" * 200_000)
        except ConnectionError:
            status = ""
        assert not status
        assert (await operator.get("/healthz"))[0] == "HTTP/1.1 200 OK"
