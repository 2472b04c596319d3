"""Bytes come from the hub's own numbers; whatever is not there, or is something else, is nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from atoll_cli.top.counted import ask, bytes_of_steps, hub_address
from atoll_telemetry.instruments import Instruments
from atoll_worker.metrics import COMM_BYTES, REPORTED


def exposition() -> bytes:
    instruments = Instruments(REPORTED.values())
    family = REPORTED[COMM_BYTES.name]
    instruments.add(family, 100, "island-0", "sent", "hub", "training")
    instruments.add(family, 20, "island-0", "received", "island", "exchange")
    instruments.add(family, 3, "merge", "received", "hub", "setup")
    return instruments.exposition()[0]


class Hub(BaseHTTPRequestHandler):
    answer = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def tell(folder: Path, address: str, role: str = "hub") -> Path:
    (folder / "prometheus").mkdir()
    target = {"targets": [address], "labels": {"role": role}}
    (folder / "prometheus" / "targets.json").write_text(json.dumps([target]))
    return folder


def test_directions_peers_and_phases_are_added_up_by_step() -> None:
    assert bytes_of_steps(exposition().decode()) == {"island-0": 120, "merge": 3}
    assert bytes_of_steps("") == {}


def test_a_hub_is_asked(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "answer", exposition())
    assert ask(tell(tmp_path, address)) == {"island-0": 120, "merge": 3}


@pytest.mark.parametrize(
    "answer", [b"", b"\xff\xfe", b"atoll_reported_comm_bytes_total{step=", b"<html>no</html>"]
)
def test_what_is_no_exposition_is_nothing(
    answer: bytes, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "answer", answer)
    assert ask(tell(tmp_path, address)) == {}


def test_a_hub_that_is_gone_is_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path) == {}
    assert ask(tell(tmp_path, "127.0.0.1:1")) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '[{"targets": []}]', '[{"labels": {}}]'])
def test_targets_that_cannot_be_read_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "targets.json").write_text(text)
    assert hub_address(tmp_path) is None


def test_only_a_hub_on_this_machine_is_asked(tmp_path: Path) -> None:
    assert hub_address(tell(tmp_path, "10.0.0.1:80")) is None


def test_an_island_is_no_hub(tmp_path: Path) -> None:
    assert hub_address(tell(tmp_path, "127.0.0.1:80", "island")) is None
