"""A real S3 server over HTTP in a process of its own."""

import socket
import subprocess
import sys
import time
import urllib.request
from urllib.error import URLError

from obstore.store import S3Store

START_SECONDS = 60.0


class S3Server:
    """`moto`, with one bucket."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        self._make_bucket()

    def bucket(self, prefix: str, **options: object) -> S3Store:
        """The bucket, below a prefix."""
        return S3Store(
            "artifacts",
            prefix=prefix,
            endpoint=self.address,
            access_key_id="test",
            secret_access_key="test",
            region="us-east-1",
            client_options={"allow_http": True},
            **options,  # type: ignore[arg-type] # options of obstore
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _make_bucket(self) -> None:
        request = urllib.request.Request(f"{self.address}/artifacts", method="PUT")
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request):
                    return
            except URLError:
                assert time.monotonic() < deadline, "the S3 server did not start"
                assert self._process.poll() is None, "the S3 server ended"
                time.sleep(0.05)
