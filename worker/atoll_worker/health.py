"""Health over plain HTTP, for probes on a cluster: they cannot speak mutual TLS. No torch here."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def serve(port: int, ready: Callable[[], bool]) -> int:
    """Answer `GET /healthz` on all addresses until the process ends; the port that was taken.

    Args:
        port: 0 lets the system choose.
        ready: whether this process does its work; 503 until then.

    Raises:
        OSError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/healthz"
            status = HTTPStatus.OK if found and ready() else HTTPStatus.SERVICE_UNAVAILABLE
            body = f"{status.phrase}\n".encode()
            self.send_response(status if found else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: their lines would bury the last words of a step."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server.server_port
