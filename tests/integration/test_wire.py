"""The kernel's count of what this process sent and received, on real sockets."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hub_process import HubProcess
from scraped import ask

from atoll_api.names import Ref
from atoll_telemetry import tracing
from atoll_telemetry.instruments import Instruments
from atoll_worker import health, metrics
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Artifact, WireBytes
from atoll_worker.tally import Tally

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts")


class Peer:
    """A listening socket and what was accepted from it."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Our end and the peer's."""
        ours = socket.create_connection(self.listening.getsockname())
        return ours, self.listening.accept()[0]


def counted(meter: WireMeter) -> dict[str, tuple[int, int]]:
    return {it.peer: (it.sent_bytes, it.received_bytes) for it in meter.read()}


def settled(meter: WireMeter, expected: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """What is counted, once the acknowledgements are in."""
    deadline = time.monotonic() + 30
    while (seen := counted(meter)) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen


def test_a_hub_that_moves_stays_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name stands for the address of its pod, which another pod has another of."""
    hub = Peer()
    with hub.listening:
        found: list[str] = []
        known = socket.getaddrinfo

        def look_up(host: str, *more: object, **named: object) -> object:
            if host != "hub.test":
                return known(host, *more, **named)  # type: ignore[arg-type]
            if not found:
                raise socket.gaierror
            return known(found[-1], *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        meter = WireMeter(f"hub.test:{hub.address.partition(':')[2]}")
        meter.start()
        near, far = hub.connect()
        with near, far:
            exchange(near, far, 500, 50)
            nobody_knows = {"hub": (0, 0), "island": (0, 0), "other": (550, 550)}
            assert settled(meter, nobody_knows) == nobody_knows
            found.append("127.0.0.1")
            expected = {"hub": (500, 50), "island": (0, 0), "other": (50, 500)}
            assert settled(meter, expected) == expected


def exchange(near: socket.socket, far: socket.socket, sent: int, received: int) -> None:
    near.sendall(bytes(sent))
    assert len(far.recv(sent, socket.MSG_WAITALL)) == sent
    far.sendall(bytes(received))
    assert len(near.recv(received, socket.MSG_WAITALL)) == received


def test_each_kind_of_peer_is_counted_apart() -> None:
    hub, island = Peer(), Peer()
    with hub.listening, island.listening:
        to_hub, hub_end = hub.connect()
        with to_hub, hub_end:
            exchange(to_hub, hub_end, 777, 5)
            meter = WireMeter(hub.address, frozenset({island.address}))
            meter.start()
            to_island, island_end = island.connect()
            with to_island, island_end:
                exchange(to_hub, hub_end, 1000, 10)
                exchange(to_island, island_end, 2000, 20)
                # The far ends are sockets of this process too, connected to ports nobody named.
                everything = {"hub": (1000, 10), "island": (2000, 20), "other": (30, 3000)}
                assert settled(meter, everything) == everything
            assert counted(meter) == everything, "a socket that is gone keeps its count"


def test_a_collector_of_traces_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    collector, stranger = Peer(), Peer()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}")
    tracing.set_up("atoll-test")
    try:
        meter = WireMeter("127.0.0.1:1")
    finally:
        tracing.shut_down()
    meter.start()
    with collector.listening, stranger.listening:
        near, far = collector.connect()
        other, other_end = stranger.connect()
        with near, far, other, other_end:
            exchange(near, far, 5000, 70)
            exchange(other, other_end, 300, 20)
            # The far ends count, as above: 70 and 5000 of the collector's, 20 and 300 of the other's.
            expected = {"hub": (0, 0), "island": (0, 0), "other": (300 + 90, 20 + 5300)}
            assert settled(meter, expected) == expected


def test_silence_counts_nothing() -> None:
    hub, island = Peer(), Peer()
    with hub.listening, island.listening:
        near, far = island.connect()
        with near, far:
            exchange(near, far, 100, 100)
            meter = WireMeter(hub.address, frozenset({island.address}))
            meter.start()
            assert meter.read() == (
                WireBytes("hub", 0, 0),
                WireBytes("island", 0, 0),
                WireBytes("other", 0, 0),
            )


def test_who_scrapes_this_process_is_no_peer() -> None:
    shown = Tally(Instruments(metrics.of_role("island")))
    port = health.serve(0, lambda: True, shown, health.LOOPBACK)
    address = f"127.0.0.1:{port}"
    counting, blind = WireMeter("127.0.0.1:1", own_port=port), WireMeter("127.0.0.1:1")
    with socket.create_connection(("127.0.0.1", port)) as scraper:
        for meter in (counting, blind):
            meter.start()
        scraper.sendall(b"GET /metrics HTTP/1.0\r\n")  # half a question keeps both ends open
        everybody = settled(blind, {"hub": (0, 0), "island": (0, 0), "other": (23, 23)})
        scraper_alone = counted(counting)
    assert everybody["other"] == (23, 23), "the scraper's end is a socket of this process too"
    assert scraper_alone["other"] == (23, 0), "it is, and its answer is not"
    assert ask(address, "/metrics")[0] == 200


def test_an_address_nobody_knows_raises_nothing() -> None:
    meter = WireMeter("no port", frozenset({"nowhere.invalid:1", ":::"}))
    meter.start()
    assert {it.peer for it in meter.read()} == {"hub", "island", "other"}


ISLAND = """
import socket, sys, time
from atoll_worker.exchange.wire import WireMeter
host, port = sys.argv[1].rsplit(":", 1)
meter = WireMeter("127.0.0.1:1", frozenset({sys.argv[1]}))
meter.start()
with socket.create_connection((host, int(port))) as peer:
    peer.sendall(bytes(4096))
    peer.recv(1)
    print({it.peer: it.sent_bytes for it in meter.read()})
"""


def test_a_process_that_talks_to_an_island_is_seen() -> None:
    island = Peer()
    command = [sys.executable, "-c", ISLAND, island.address]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        island.listening,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child,
    ):
        end, _ = island.listening.accept()
        with end:
            assert len(end.recv(4096, socket.MSG_WAITALL)) == 4096
            end.sendall(b"!")
            assert child.stdout is not None
            assert child.stdout.read() == "{'hub': 0, 'island': 4096, 'other': 0}\n"


def test_bytes_of_grpc_are_seen_at_the_hub(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path)
    address = hub.start()
    try:
        meter = WireMeter(address, frozenset({"127.0.0.1:1"}))
        meter.start()
        with ExchangeClient(address, hub.household.credentials("island")) as client:
            client.publish(Ref("experts/0"), Artifact({"x": torch.zeros(1 << 20)}))
            client.fetch(Ref("experts/0"))
            seen = counted(meter)
        # 4 MiB of zeros are one blob each way.
        assert 4 << 20 < seen["hub"][0] < 5 << 20
        assert 4 << 20 < seen["hub"][1] < 5 << 20
        assert seen["island"] == (0, 0)
    finally:
        hub.kill()
