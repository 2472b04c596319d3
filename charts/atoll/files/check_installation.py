"""What `helm test` asks of an installation: the API is served, somebody leads, all are ready.

Runs in a pod of the operator's image, with the standard library alone. Prints a line for each thing
that is so, and ends with one that says what is not.
"""

import json
import os
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PATIENCE_SECONDS = 60.0
"""Longer than another operator takes to lead."""
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0


class NotYetError(Exception):
    """Something is not so, and may be soon."""


@dataclass(frozen=True)
class Installation:
    """Where to ask."""

    api: str
    context: ssl.SSLContext | None
    token: str
    group_version: str
    namespace: str
    lease: str
    health_host: str
    """Stands for all operators."""
    health_port: int

    def ask(self, path: str) -> dict[str, object]:
        """The API server, as this pod."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.api + path, headers=bearer)  # noqa: S310 - as told
        with urllib.request.urlopen(  # noqa: S310 - see above
            request, context=self.context, timeout=TIMEOUT_SECONDS
        ) as answer:
            found: dict[str, object] = json.load(answer)
            return found


def of_this_pod(environment: Mapping[str, str]) -> Installation:
    """As the chart has written it."""
    host, port = (environment[f"KUBERNETES_SERVICE_{it}"] for it in ("HOST", "PORT"))
    return Installation(
        api=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
        token=(ACCOUNT / "token").read_text(),
        group_version=environment["GROUP_VERSION"],
        namespace=environment["NAMESPACE"],
        lease=environment["LEASE"],
        health_host=environment["HEALTH_HOST"],
        health_port=int(environment["HEALTH_PORT"]),
    )


def definition_is_served(it: Installation) -> str:
    """TrainingJobs and their status are part of the API."""
    resources = it.ask(f"/apis/{it.group_version}").get("resources")
    names = {one["name"] for one in resources} if isinstance(resources, list) else set()
    missing = {"trainingjobs", "trainingjobs/status"} - names
    if missing:
        raise NotYetError(f"{it.group_version} does not serve {', '.join(sorted(missing))}")
    return f"{it.group_version} is served"


def lease_is_held(it: Installation, sleep: Callable[[float], None] = time.sleep) -> str:
    """Somebody leads, and renews the lease: seen from here, for clocks are never compared."""
    holder, renewed = _lease(it)
    if not holder:
        raise NotYetError(f"nobody holds the Lease {it.lease}")
    for _ in range(10):
        sleep(PAUSE_SECONDS)
        if _lease(it) != (holder, renewed):
            return f"{holder} leads"
    raise NotYetError(f"{holder} does not renew the Lease {it.lease}")


def _lease(it: Installation) -> tuple[object, object]:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{it.namespace}/leases/{it.lease}"
    spec = it.ask(path).get("spec")
    return (
        (spec.get("holderIdentity"), spec.get("renewTime")) if isinstance(spec, dict) else ("", "")
    )


def operators_are_ready(it: Installation) -> str:
    """Each of them says so."""
    found = socket.getaddrinfo(it.health_host, it.health_port, type=socket.SOCK_STREAM)
    addresses = sorted({str(one[4][0]) for one in found})
    for address in addresses:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{it.health_port}/readyz"
        try:
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS).close()
        except OSError as error:
            raise NotYetError(f"{url}: {error}") from error
    return f"ready: {', '.join(addresses)}"


CHECKS = (definition_is_served, lease_is_held, operators_are_ready)


def patiently(check: Callable[[], str], until: float) -> str:
    """What a check says once it holds.

    Raises:
        NotYetError, OSError: it did not hold in time.
    """
    while True:
        try:
            return check()
        except (NotYetError, OSError):
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Check all."""
    it = of_this_pod(os.environ)
    until = time.monotonic() + PATIENCE_SECONDS
    for check in CHECKS:
        try:
            print(patiently(partial(check, it), until))
        except (NotYetError, OSError) as error:
            print(f"{check.__name__.replace('_', ' ')}: no: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
