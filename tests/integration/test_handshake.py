"""A peer that is away, frozen or killed refuses nobody; one that refuses does so each time."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hub_process import HubProcess
from identities import Household
from tcp_proxy import TcpProxy

from atoll_worker.exchange import handshake
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience

PATIENCE = Patience(60.0, 60.0)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("handshake") / "run")
    hub.start()
    yield hub
    hub.kill()


def is_refused(address: str, of: Household, hub: HubProcess) -> bool:
    return handshake.is_refused(
        address, of.credentials("island"), hub.household.credentials("island").hub
    )


def test_a_hub_refuses_strangers_alone(hub: HubProcess) -> None:
    assert not is_refused(hub.address, hub.household, hub)
    assert is_refused(hub.address, Household("0"), hub)


@contextmanager
def listening(treat: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of somebody who treats every connection in a way."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                kept.append(connection)
                treat(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in kept:
            connection.close()


def say_something_else(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("treat", "refused"),
    [
        pytest.param(lambda _: None, False, id="frozen"),
        pytest.param(socket.socket.close, False, id="dying"),
        pytest.param(say_something_else, True, id="another program"),
    ],
)
def test_only_an_answer_is_a_refusal(
    hub: HubProcess,
    treat: Callable[[socket.socket], None],
    refused: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshake, "SECONDS", 0.5)
    with listening(treat) as address:
        assert is_refused(address, hub.household, hub) is refused


def test_where_nobody_listens_nobody_refuses(hub: HubProcess) -> None:
    with listening(socket.socket.close) as address:
        pass
    assert not is_refused(address, hub.household, hub)


@pytest.mark.slow
def test_a_hub_that_lets_connections_fall_for_a_while_is_waited_for(hub: HubProcess) -> None:
    with (
        TcpProxy() as proxy,
        ExchangeClient(proxy.address, hub.household.credentials("island"), PATIENCE) as island,
    ):
        threading.Timer(8.0, proxy.forward_to, [hub.address]).start()
        assert island.bindings() == {}


@pytest.mark.slow
def test_a_hub_that_is_frozen_for_a_while_is_waited_for(tmp_path: Path) -> None:
    frozen = HubProcess(tmp_path)
    frozen.start()
    pid = frozen.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        threading.Timer(12.0, os.kill, [pid, signal.SIGCONT]).start()
        credentials = frozen.household.credentials("island")
        with ExchangeClient(frozen.address, credentials, PATIENCE) as island:
            assert island.bindings() == {}
        assert time.monotonic() - began > 11.0
    finally:
        frozen.kill()
