"""Stands in for the operator in tests of its chart, in the operator's pod and with its rights.

Is alive and ready, and keeps the Lease as one of several would: nothing else. Only with the
standard library, for any image with a Python.
"""

import json
import os
import signal
import ssl
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAME = os.environ["ATOLL_OPERATOR_POD"]
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{os.environ['ATOLL_OPERATOR_NAMESPACE']}/leases"
GONE_SECONDS = 10.0


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path in ("/healthz", "/readyz")
        self.send_response(200 if known else 404)
        self.end_headers()


def ask(method: str, path: str, body: Any = None) -> Any:
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    token = (ACCOUNT / "token").read_text()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request, context=context, timeout=5) as answer:
        return json.load(answer)


def spec() -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": NAME, "leaseDurationSeconds": int(GONE_SECONDS), "renewTime": now}


def attempt(seen: dict[str, Any]) -> dict[str, Any]:
    """Take or renew the Lease, if it is free; what is known of it then."""
    name = os.environ["ATOLL_LEASE"]
    try:
        lease = ask("GET", f"{LEASES}/{name}")
    except HTTPError as error:
        if error.code != 404:
            raise
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        ask("POST", LEASES, kind | {"metadata": {"name": name}, "spec": spec()})
        return seen
    if lease["spec"] != seen.get("spec"):
        seen = {"spec": lease["spec"], "since": time.monotonic()}
    alone = lease["spec"].get("holderIdentity") in ("", NAME)
    if alone or time.monotonic() >= seen["since"] + GONE_SECONDS:
        ask("PUT", f"{LEASES}/{name}", lease | {"spec": spec()})
    return seen


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process is not ended unasked
    server = ThreadingHTTPServer(("", int(os.environ["ATOLL_HEALTH_PORT"])), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen: dict[str, Any] = {}
    while True:
        try:
            seen = attempt(seen)
        except OSError as error:
            sys.stderr.write(f"{error}\n")
        time.sleep(1)


if __name__ == "__main__":
    main()
