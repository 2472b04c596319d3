"""Health and numbers over HTTP, and whoever asks in bad manners."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from scraped import ask

from atoll_worker import health


class Shown:
    """A page that says what it was asked for, or breaks."""

    broken = False

    def exposition(self, accept: str) -> tuple[bytes, str]:
        if self.broken:
            raise RuntimeError("no number is ready")
        return f"accepts {accept!r}\n".encode(), "text/plain; version=0.0.4"


def served(page: Shown | None) -> str:
    return f"127.0.0.1:{health.serve(0, lambda: True, page, health.LOOPBACK)}"


def test_numbers_stand_beside_the_health() -> None:
    address = served(Shown())
    assert ask(address, "/metrics") == (200, "accepts ''\n")
    assert ask(address, "/metrics?name=x")[0] == 200
    assert ask(address, "/healthz") == (200, "OK\n")
    assert ask(address, "/metric")[0] == 404


def test_a_process_that_is_not_ready_shows_no_number() -> None:
    ready = False
    address = f"127.0.0.1:{health.serve(0, lambda: ready, Shown(), health.LOOPBACK)}"
    assert [ask(address, path)[0] for path in ("/healthz", "/metrics", "/")] == [503, 503, 404]
    ready = True
    assert [ask(address, path)[0] for path in ("/healthz", "/metrics", "/")] == [200, 200, 404]


def test_without_a_page_there_are_none() -> None:
    assert ask(served(None), "/metrics")[0] == 404


def test_who_hangs_up_or_says_nonsense_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    page = Shown()
    address = served(page)
    host, port = address.split(":")
    for said in (
        b"",
        b"\r\n\r\n",
        b"GET /metrics",
        b"\x00\xff" * 5000,
        b"GET /metrics HTTP/1.0\r\n",
    ):
        with socket.create_connection((host, int(port))) as rude:
            rude.sendall(said)
    page.broken = True
    with pytest.raises(Exception, match=r"closed|reset"):
        ask(address, "/metrics")
    page.broken = False
    assert ask(address, "/metrics")[0] == 200
    told = capfd.readouterr().err
    assert "Traceback" not in told
    assert "metrics: RuntimeError: no number is ready" in told


def test_it_waits_for_nobody_when_the_process_ends() -> None:
    before = set(threading.enumerate())
    host, port = served(Shown()).split(":")
    with socket.create_connection((host, int(port))):
        assert ask(f"{host}:{port}", "/healthz")[0] == 200
        assert all(it.daemon for it in set(threading.enumerate()) - before)


def test_a_port_that_is_taken_is_told() -> None:
    port = int(served(None).rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        health.serve(port, lambda: True, None, health.LOOPBACK)


def test_a_file_says_where(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    health.say_where(tmp_path / "island-0.metrics.json", 4242)
    said = json.loads((tmp_path / "island-0.metrics.json").read_text())
    assert said == {"address": "127.0.0.1:4242", "pid": os.getpid()}
    health.say_where(tmp_path / "nowhere" / "file", 4242)
    assert "nobody can be told of port 4242" in capfd.readouterr().err
