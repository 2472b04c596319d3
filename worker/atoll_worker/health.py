"""Health and metrics over plain HTTP: probes and Prometheus cannot speak mutual TLS. No torch here.

Whoever asks never disturbs the work: each question has a daemon thread, and what goes wrong on one
ends with it.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Final, Protocol

ASK_SECONDS: Final = 10.0
"""Whoever has not asked, or does not read the answer, is let go."""
LOOPBACK: Final = "127.0.0.1"


class Page(Protocol):
    """What is shown at `/metrics`; `tally.Tally` is one."""

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All numbers as text, and the type of that text, for an `Accept` header."""
        ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Who hangs up in the middle is nothing to tell; what is wrong here is one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            sys.stderr.write(f"metrics: {type(error).__name__}: {error}\n")


class _Handler(BaseHTTPRequestHandler):
    timeout = ASK_SECONDS
    ready: ClassVar[Callable[[], bool]]
    page: ClassVar[Page | None]

    def do_GET(self) -> None:
        path, page = self.path.partition("?")[0], self.page
        if path != "/healthz" and (path != "/metrics" or page is None):
            self._say(HTTPStatus.NOT_FOUND)
        elif not type(self).ready():  # a hub that has not read its store would show it empty
            self._say(HTTPStatus.SERVICE_UNAVAILABLE)
        elif path == "/metrics" and page is not None:
            self._answer(HTTPStatus.OK, *page.exposition(self.headers.get("Accept", "")))
        else:
            self._say(HTTPStatus.OK)

    def _say(self, status: HTTPStatus) -> None:
        self._answer(status, f"{status.phrase}\n".encode(), "text/plain")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: their lines would bury the last words of a step."""


def serve(port: int, ready: Callable[[], bool], page: Page | None = None, host: str = "") -> int:
    """Answer `GET /healthz` and `GET /metrics` until the process ends; the port that was taken.

    Args:
        port: 0 lets the system choose.
        ready: whether this process does its work; 503 until then, for both.
        page: the numbers; None: there are none.
        host: "" for all addresses.

    Raises:
        OSError: the port is taken.
    """
    handler = type("Handler", (_Handler,), {"ready": staticmethod(ready), "page": page})
    server = _Server((host, port), handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server.server_port


def say_where(path: Path, port: int) -> None:
    """Write, by rename, `{"address": "127.0.0.1:PORT", "pid": N}`: as the hub's ready file.

    What cannot be written is told and costs the numbers, not the work.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps({"address": f"{LOOPBACK}:{port}", "pid": os.getpid()}) + "\n")
        draft.replace(path)
    except OSError as error:
        sys.stderr.write(f"metrics: nobody can be told of port {port}: {error.strerror}\n")
