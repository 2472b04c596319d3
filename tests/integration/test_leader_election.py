"""Replicas as processes, and a real API server."""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kube_api_server import KubeApiServer, shared_server
from tcp_proxy import TcpProxy

SCRIPT = Path(__file__).parents[1] / "support" / "run_elector.py"
FAILOVER_SECONDS = 20.0
HANDOVER_SECONDS = 10.0
"""A clean stop: one wait of the other, and a slow machine."""


class Replica:
    """A process."""

    def __init__(self, kubeconfig: Path, lease: str) -> None:
        command = [sys.executable, str(SCRIPT), str(kubeconfig), "default", lease]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def says(self, expected: str) -> float:
        """Wait for its next line; when it was written, on the monotonic clock."""
        assert self.process.stdout is not None
        what, _, at = self.process.stdout.readline().partition(" ")
        assert what == expected
        return float(at)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def server() -> KubeApiServer:
    return shared_server()


@pytest.fixture
def replicas(server: KubeApiServer) -> Iterator[tuple[Replica, Replica]]:
    lease = f"lease-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        leader = Replica(server.kubeconfig, lease)
        stack.callback(leader.end)
        leader.says("leading")
        other = Replica(server.kubeconfig, lease)
        stack.callback(other.end)
        yield leader, other


@pytest.mark.slow
def test_another_replica_leads_soon_after_a_kill(replicas: tuple[Replica, Replica]) -> None:
    leader, other = replicas
    killed_at = time.monotonic()
    leader.process.kill()
    assert 7.0 <= other.says("leading") - killed_at <= FAILOVER_SECONDS


def test_a_clean_stop_hands_over(replicas: tuple[Replica, Replica]) -> None:
    leader, other = replicas
    stopped_at = time.monotonic()
    leader.process.terminate()
    leader.says("lost")
    assert other.says("leading") - stopped_at <= HANDOVER_SECONDS


@pytest.mark.slow
def test_a_leader_that_is_cut_off_gives_up_before_another_leads(server: KubeApiServer) -> None:
    lease = f"lease-{uuid.uuid4().hex[:8]}"
    with TcpProxy(f"127.0.0.1:{server.port}") as proxy, ExitStack() as stack:
        leader = Replica(server.kubeconfig_of(proxy.address), lease)
        stack.callback(leader.end)
        leader.says("leading")
        other = Replica(server.kubeconfig, lease)
        stack.callback(other.end)
        proxy.frozen.set()
        assert leader.says("lost") <= other.says("leading")
