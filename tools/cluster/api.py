"""The few questions that bringing a cluster up has for its API server."""

import json
import ssl
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, cast

from tools.cluster.addresses import API_PORT, ETCD_PORT
from tools.cluster.certificates import AUTHORITY
from tools.cluster.errors import ClusterError

TIMEOUT_SECONDS = 5.0
APPLY = "?fieldManager=atoll-test-cluster&force=true"


@dataclass(frozen=True)
class Answer:
    """What a server said; status 0 when it said nothing."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    @property
    def document(self) -> dict[str, Any]:
        """The object, or an empty one."""
        return cast("dict[str, Any]", json.loads(self.body)) if self.ok else {}


@dataclass(frozen=True)
class Api:
    """A server of the cluster, asked as one of the certificates."""

    certificates: Path
    client: str = "admin"
    port: int = API_PORT

    def get(self, path: str) -> Answer:
        """Ask; a server that is not there is an answer too."""
        return self._ask("GET", path)

    def apply(self, path: str, document: dict[str, object]) -> None:
        """Make an object, or make it so."""
        answer = self._ask("PATCH", path + APPLY, json.dumps(document).encode())
        if not answer.ok:
            raise ClusterError(f"{path} was refused: {answer.status} {answer.body.decode()}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        headers = {"Content-Type": "application/apply-patch+yaml"} if body else {}
        try:
            connection = HTTPSConnection(
                "127.0.0.1", self.port, timeout=TIMEOUT_SECONDS, context=self._context()
            )
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return Answer(response.status, response.read())
            finally:
                connection.close()
        except (OSError, HTTPException):
            return Answer(0, b"")

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificates / f"{AUTHORITY}.crt")
        own = self.certificates / self.client
        context.load_cert_chain(f"{own}.crt", f"{own}.key")
        return context


def etcd(certificates: Path) -> Api:
    """The same, of etcd."""
    return Api(certificates, "etcd", ETCD_PORT)
