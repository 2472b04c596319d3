"""What `helm test` says of installations that do not work."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from charts.atoll.files import check_installation as check
from charts.atoll.files.check_installation import Installation, NotYetError

LEASE = "/apis/coordination.k8s.io/v1/namespaces/system/leases/atoll-operator"


@dataclass
class Cluster:
    """Both the API server and an operator."""

    answers: dict[str, Callable[[], Any]] = field(default_factory=dict)
    asked_by: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def installation(self) -> Installation:
        return Installation(
            api=f"http://127.0.0.1:{self.port}",
            context=None,
            token="mine",
            group_version="atoll.dev/v1alpha1",
            namespace="system",
            lease="atoll-operator",
            health_host="127.0.0.1",
            health_port=self.port,
        )

    def lease(self, *specs: dict[str, str]) -> None:
        """One answer after the other; the last one stays."""
        left = list(specs)
        self.answers[LEASE] = lambda: {"spec": left.pop(0) if len(left) > 1 else left[0]}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked_by.append(self.headers.get("Authorization", ""))
            answer = found.answers.get(self.path)
            self.send_response(200 if answer else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer() if answer else {}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def resources(*names: str) -> dict[str, Any]:
    return {"resources": [{"name": it} for it in names]}


def no_time(_: float) -> None:
    pass


def test_a_definition_without_its_status_is_not_enough(cluster: Cluster) -> None:
    path = "/apis/atoll.dev/v1alpha1"
    cluster.answers[path] = lambda: resources("trainingjobs", "trainingjobs/status")
    assert check.definition_is_served(cluster.installation) == "atoll.dev/v1alpha1 is served"
    assert cluster.asked_by == ["Bearer mine"]
    cluster.answers[path] = lambda: resources("trainingjobs")
    with pytest.raises(NotYetError, match="does not serve trainingjobs/status"):
        check.definition_is_served(cluster.installation)
    del cluster.answers[path]
    with pytest.raises(OSError, match="404"):
        check.definition_is_served(cluster.installation)


def test_a_lease_has_to_be_renewed(cluster: Cluster) -> None:
    old = {"holderIdentity": "a", "renewTime": "1"}
    cluster.lease(old, old, old | {"renewTime": "2"})
    assert check.lease_is_held(cluster.installation, no_time) == "a leads"
    cluster.lease(old)
    with pytest.raises(NotYetError, match="a does not renew the Lease"):
        check.lease_is_held(cluster.installation, no_time)
    cluster.lease({"holderIdentity": "", "renewTime": "1"})
    with pytest.raises(NotYetError, match="nobody holds the Lease"):
        check.lease_is_held(cluster.installation, no_time)


def test_an_operator_that_is_not_ready_is_named(cluster: Cluster) -> None:
    cluster.answers["/readyz"] = dict
    assert check.operators_are_ready(cluster.installation) == "ready: 127.0.0.1"
    del cluster.answers["/readyz"]
    with pytest.raises(NotYetError, match=r"http://127.0.0.1:\d+/readyz: HTTP Error 404"):
        check.operators_are_ready(cluster.installation)


def test_it_is_patient_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAUSE_SECONDS", 0.0)
    answers = iter([NotYetError("no"), OSError("no"), None])

    def third_time() -> str:
        if answer := next(answers):
            raise answer
        return "yes"

    assert check.patiently(third_time, float("inf")) == "yes"

    def never() -> str:
        raise NotYetError("no")

    with pytest.raises(NotYetError):
        check.patiently(never, 0.0)


def test_it_finds_its_way_from_a_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(check, "ACCOUNT", tmp_path)
    monkeypatch.setattr("ssl.create_default_context", lambda **_: None)
    (tmp_path / "token").write_text("mine")
    environment = {
        "KUBERNETES_SERVICE_HOST": "fd00::1",
        "KUBERNETES_SERVICE_PORT": "443",
        "GROUP_VERSION": "atoll.dev/v1alpha1",
        "NAMESPACE": "system",
        "LEASE": "atoll-operator",
        "HEALTH_HOST": "all",
        "HEALTH_PORT": "9464",
    }
    found = check.of_this_pod(environment)
    assert (found.api, found.health_port) == ("https://[fd00::1]:443", 9464)
