"""A real API server on loopback: etcd and kube-apiserver alone, no controllers, no nodes.

What it answers is the truth about validation, versions, watches and server-side apply.
"""

import atexit
import functools
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

START_SECONDS = 60.0
TOKEN = "test-token"


@dataclass(frozen=True)
class Binaries:
    etcd: Path
    kube_apiserver: Path


def find_binaries() -> Binaries | None:
    """Where envtest looks, then what the test cluster has built, then the PATH."""
    given = os.environ.get("KUBEBUILDER_ASSETS", "")
    built = sorted(_cluster_cache().glob("bin/*"), reverse=True)
    path = os.pathsep.join([*filter(None, (given, *map(str, built))), os.environ.get("PATH", "")])
    found = [shutil.which(name, path=path) for name in ("etcd", "kube-apiserver")]
    return Binaries(*map(Path, filter(None, found))) if all(found) else None


def _cluster_cache() -> Path:
    named = os.environ.get("ATOLL_CLUSTER_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "atoll" / "test-cluster"


def shared_kubeconfig() -> Path:
    """Of the cluster of KUBECONFIG, else of one API server for this process; else skips."""
    if os.environ.get("KUBECONFIG"):
        return Path(os.environ["KUBECONFIG"])
    return shared_server().kubeconfig


def shared_server() -> "KubeApiServer":
    """One of this process; else skips."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no API server: etcd and kube-apiserver are not there (KUBEBUILDER_ASSETS)")
    return _shared_server(binaries)


@functools.cache
def _shared_server(binaries: Binaries) -> "KubeApiServer":
    server = KubeApiServer(binaries)
    atexit.register(server.kill)
    return server


class KubeApiServer:
    """Ready when the constructor returns. Data do not survive `kill`."""

    def __init__(self, binaries: Binaries, *flags: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kube-api-server")
        self._path = Path(self._folder.name)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._etcd_port, peer_port, self.port = _free_ports(3)
        self._start("etcd", _etcd(binaries, self._path, self._etcd_port, peer_port))
        self._write_secrets()
        self._command = [*_apiserver(binaries, self._path, self._etcd_port, self.port), *flags]
        self._start("kube-apiserver", self._command)
        self._wait_until_ready()
        self.kubeconfig = self.kubeconfig_of(f"127.0.0.1:{self.port}")

    def kubeconfig_of(self, address: str) -> Path:
        """For an administrator who goes through `address`."""
        path = self._path / f"kubeconfig-{address.replace(':', '-')}.json"
        authority = str(self._path / "apiserver.crt")
        cluster = {"server": f"https://{address}", "certificate-authority": authority}
        context = {"cluster": "test", "user": "test"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path.write_text(json.dumps(document))
        return path

    @property
    def pids(self) -> dict[str, int]:
        """Of etcd and of the API server."""
        return dict(
            zip(("etcd", "kube-apiserver"), (it.pid for it in self._processes), strict=True)
        )

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._folder.cleanup()

    def _start(self, name: str, command: list[str]) -> None:
        with (self._path / f"{name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(_mortal(command), stdout=log, stderr=log))

    def _write_secrets(self) -> None:
        (self._path / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        (self._path / "service-accounts.pem").write_bytes(key)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            log = self._path / "kube-apiserver.log"
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            assert self._processes[-1].poll() is None, log.read_text()[-2000:]
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        certificate = self._path / "apiserver.crt"
        if not certificate.exists():
            return False
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            context = ssl.create_default_context(cafile=str(certificate))
            with urllib.request.urlopen(request, context=context) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, ssl.SSLError):
            return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def _mortal(command: list[str]) -> list[str]:
    """A killed test run shall leave nothing behind."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


def _etcd(binaries: Binaries, path: Path, port: int, peer_port: int) -> list[str]:
    peer = f"http://127.0.0.1:{peer_port}"
    return [
        str(binaries.etcd),
        f"--data-dir={path / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{port}",
        f"--advertise-client-urls=http://127.0.0.1:{port}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def _apiserver(binaries: Binaries, path: Path, etcd_port: int, port: int) -> list[str]:
    return [
        str(binaries.kube_apiserver),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={path}",
        f"--token-auth-file={path / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={path / 'service-accounts.pem'}",
        f"--service-account-signing-key-file={path / 'service-accounts.pem'}",
        "--disable-admission-plugins=ServiceAccount",  # nothing makes service accounts here
    ]
