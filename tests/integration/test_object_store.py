"""A hub whose artifacts live in a bucket: what refuses it, and what that costs one who has none."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore, S3Store
from s3_server import S3Server

from atoll_api.hub_order import BucketStore, FolderStore
from atoll_worker.errors import FinalError, InUseError, UnavailableError
from atoll_worker.exchange.claim import BucketClaim
from atoll_worker.exchange.disk import FullError
from atoll_worker.exchange.objects import BucketDisk
from atoll_worker.exchange.opening import opened


@dataclass(frozen=True)
class Guarded:
    """A server that checks signatures, and the variables of those who may use it."""

    server: S3Server
    keys: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    server = S3Server()
    try:
        keys = server.require_credentials(owner="s3:*", reader="s3:Get* s3:List*", stranger="iam:*")
        yield Guarded(server, keys)
    finally:
        server.kill()


@pytest.fixture
def wanted(guarded: Guarded, tmp_path: Path) -> BucketStore:
    return BucketStore(
        bucket="artifacts",
        prefix=tmp_path.name,
        endpoint=guarded.server.address,
        region="us-east-1",
        spool=str(tmp_path / "spool"),
        holder="this machine",
    )


@pytest.fixture(autouse=True)
def owner(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    become(guarded.keys["owner"], monkeypatch)


def become(keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in keys.items():
        monkeypatch.setenv(name, value)


def attempt(wanted: BucketStore, first_seconds: float = 15.0) -> None:
    with opened(wanted, None, first_seconds):
        pass


def elsewhere(wanted: BucketStore) -> BucketStore:
    """The same prefix, for a hub of another machine."""
    return wanted.model_copy(update={"spool": f"{wanted.spool}-2", "holder": "that machine"})


def test_a_prefix_has_one_owner_until_it_lets_go(wanted: BucketStore) -> None:
    with opened(wanted, None) as store:
        assert not store.bindings()
        with pytest.raises(InUseError, match="belongs to another run"):
            attempt(wanted)  # a second process of this folder takes nothing away from the first
        with pytest.raises(InUseError, match=r"of this job, this machine: stop it, or give this"):
            attempt(elsewhere(wanted))
    attempt(elsewhere(wanted))
    attempt(wanted)


def test_a_hub_that_was_killed_goes_on_under_its_name(
    wanted: BucketStore, guarded: Guarded
) -> None:
    script = (
        "import os, signal, sys\n"
        "from atoll_api.hub_order import BucketStore\n"
        "from atoll_worker.exchange.opening import opened\n"
        "with opened(BucketStore.model_validate_json(sys.argv[1]), None):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, wanted.model_dump_json()]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with pytest.raises(InUseError, match="if that run is gone, remove the object HOLDER there"):
        attempt(elsewhere(wanted))
    attempt(wanted)
    attempt(elsewhere(wanted))


def test_a_store_without_conditional_puts_is_refused() -> None:
    class Forgetful(MemoryStore):  # as servers do that do not know If-None-Match
        def put(self, path: str, file: bytes, **_: object) -> Any:  # type: ignore[override]
            return super().put(path, file)

    with pytest.raises(FinalError, match="replaces objects that it was told not to"):
        BucketClaim(Forgetful(), "this machine", "s3://b/p")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIASTRANGER", r"the access key is not known there: check AWS_ACC"),
        ("AWS_SECRET_ACCESS_KEY", "guess", "the secret key does not fit the access key: check"),
    ],
)
def test_wrong_credentials_are_told_apart(
    wanted: BucketStore, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(FinalError, match=expected) as caught:
        attempt(wanted)
    assert "\n" not in str(caught.value)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("reader", "cannot be written: these credentials may only list; allow them to get"),
        ("stranger", "these credentials may not list it: allow them to list, get, put and delete"),
    ],
)
def test_what_credentials_may_not_do_is_said(
    wanted: BucketStore, guarded: Guarded, monkeypatch: pytest.MonkeyPatch, who: str, expected: str
) -> None:
    become(guarded.keys[who], monkeypatch)
    with pytest.raises(FinalError, match=expected):
        attempt(wanted)


def test_without_credentials_the_variables_are_named(
    wanted: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # no machine of Amazon's
    with pytest.raises(FinalError, match="without credentials: set AWS_ACCESS_KEY_ID and"):
        attempt(wanted, 0.5)


def test_a_bucket_that_is_not_there(wanted: BucketStore) -> None:
    with pytest.raises(FinalError, match=r"^s3://elsewhere/.* at http://127.*: there is no such"):
        attempt(wanted.model_copy(update={"bucket": "elsewhere"}))


def test_an_address_without_a_server_is_final_until_it_has_answered_once(
    wanted: BucketStore,
) -> None:
    away = wanted.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    with pytest.raises(FinalError, match=r"cannot be reached: check artifacts\.storage"):
        attempt(away, 0.5)
    attempt(wanted)
    with pytest.raises(UnavailableError, match="does not answer"):
        attempt(away, 0.5)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server that says this to everything; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base says
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (400, "ExpiredToken", FinalError, "the session token has expired: check AWS_"),
        (403, "RequestTimeTooSkewed", FinalError, "the clock of this machine is wrong: set it"),
        (400, "AuthorizationHeaderMalformed", FinalError, r"set objectStore\.region"),
        (301, "PermanentRedirect", FinalError, r"set objectStore\.region"),
        (403, "Novelty", FinalError, r"it refuses the credentials \(Novelty\): check AWS_"),
        (404, "", FinalError, r"refused to be listed \(404\): check artifacts\.storage"),
        (503, "SlowDown", UnavailableError, "does not answer .* 503 Service Unavailable"),
    ],
)
def test_what_a_bucket_answers_is_one_sentence(
    wanted: BucketStore, status: int, code: str, kind: type[Exception], expected: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>x</Message></Error>" if code else "<html>"
    with answering(status, body) as address, pytest.raises(kind, match=expected) as caught:
        attempt(wanted.model_copy(update={"endpoint": address}), 0.5)
    assert "<" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_full_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    body = "<Error><Code>XMinioStorageFull</Code><Message>x</Message></Error>"
    (tmp_path / "incoming").mkdir()
    source = tmp_path / "incoming" / "0.part"
    source.write_bytes(b"pack")
    with answering(507, body) as address:
        bucket = S3Store(
            "artifacts",
            endpoint=address,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        )
        disk = BucketDisk(bucket, tmp_path, "s3://artifacts/p")
        with pytest.raises(FullError, match="XMinioStorageFull"):
            disk.keep(source, tmp_path / "packs" / "a.pack", lambda _: None)
    assert source.exists()


def test_a_hub_on_a_folder_does_not_load_the_library(tmp_path: Path) -> None:
    order = FolderStore(folder=str(tmp_path / "store"))
    script = (
        "import sys, atoll_worker.roles.hub\n"
        "from atoll_api.hub_order import FolderStore\n"
        "from atoll_worker.exchange.opening import opened\n"
        f"with opened(FolderStore(folder={order.folder!r}), None): pass\n"
        "sys.exit(bool({'obstore', 'torch', 'numpy'} & sys.modules.keys()))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
