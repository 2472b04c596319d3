"""A real S3 server over HTTP in a process of its own."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError

from obstore.store import S3Store

START_SECONDS = 60.0
T = TypeVar("T", bound=S3Store)


class S3Server:
    """`moto`, with one bucket."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "requests.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._make_bucket()

    def requests(self, method: str, key: str) -> int:
        """How many were made of a method, for objects whose keys have this in them."""
        pattern = rf'"\S*{method} /artifacts/\S*{re.escape(key)}\S* HTTP'
        return len(re.findall(pattern, self._log.read_text()))

    def unfinished_uploads(self) -> int:
        """Multipart uploads that were neither completed nor aborted."""
        with urllib.request.urlopen(f"{self.address}/artifacts?uploads") as answer:
            return len(re.findall("<Upload>", answer.read().decode()))

    def bucket(self, prefix: str, **options: object) -> S3Store:
        """The bucket, below a prefix."""
        return self.bucket_of(S3Store, prefix, **options)

    def bucket_of(self, kind: type[T], prefix: str, **options: object) -> T:
        """The same, of a kind that a test has made."""
        return kind(
            "artifacts",
            prefix=prefix,
            endpoint=self.address,
            access_key_id="test",
            secret_access_key="test",
            region="us-east-1",
            client_options={"allow_http": True},
            **options,  # type: ignore[arg-type] # options of obstore
        )

    def require_credentials(self, **users: str) -> dict[str, dict[str, str]]:
        """From now on check every signature; the variables of users who may do some actions.

        `require_credentials(owner="s3:*", reader="s3:Get* s3:List*")`
        """
        found = {name: self._add_user(name, actions) for name, actions in users.items()}
        self._ask("/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

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

    def _add_user(self, name: str, actions: str) -> dict[str, str]:
        self._ask_iam(Action="CreateUser", UserName=name)
        allowed = {"Effect": "Allow", "Action": actions.split(), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        self._ask_iam(
            Action="PutUserPolicy", UserName=name, PolicyName="all", PolicyDocument=policy
        )
        made = self._ask_iam(Action="CreateAccessKey", UserName=name)
        return {
            "AWS_ACCESS_KEY_ID": _between(made, "AccessKeyId"),
            "AWS_SECRET_ACCESS_KEY": _between(made, "SecretAccessKey"),
        }

    def _ask_iam(self, **fields: str) -> str:
        body = urllib.parse.urlencode(fields | {"Version": "2010-05-08"}).encode()
        scope = "Credential=nobody/20260101/us-east-1/iam/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        return self._ask("/", body, headers)

    def _ask(self, path: str, body: bytes, headers: dict[str, str]) -> str:
        request = urllib.request.Request(f"{self.address}{path}", body, headers)
        with urllib.request.urlopen(request) as answer:
            text: str = answer.read().decode()
            return text


class Uplink(S3Store):
    """A bucket that takes as many parts of packs as a test allows."""

    allowed: threading.Semaphore

    def put(self, path: str, file: Any, **options: Any) -> Any:
        return super().put(path, file if isinstance(file, bytes) else self._slowed(file), **options)

    def _slowed(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.allowed.acquire()
            yield part


def _between(xml: str, tag: str) -> str:
    match = re.search(rf"<{tag}>(.*?)</{tag}>", xml)
    assert match is not None, xml
    return match[1]
