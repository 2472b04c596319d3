"""A hub whose artifacts live in a bucket: what refuses it, and what that costs one who has none."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from s3_server import S3Server

from atoll_api.hub_order import BucketStore, FolderStore
from atoll_worker.errors import FinalError, InUseError, UnavailableError
from atoll_worker.exchange.opening import open_store


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


def test_one_who_may_opens_it_and_it_has_one_owner(wanted: BucketStore) -> None:
    store = open_store(wanted, None)
    with pytest.raises(InUseError, match="belongs to another run"):
        open_store(wanted, None)
    store.close()
    open_store(wanted, None).close()


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
        open_store(wanted, None)
    assert "\n" not in str(caught.value)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("reader", "cannot be written: these credentials may only read; allow them to put"),
        ("stranger", "these credentials may not list it: allow them to list, get, put and delete"),
    ],
)
def test_what_credentials_may_not_do_is_said(
    wanted: BucketStore, guarded: Guarded, monkeypatch: pytest.MonkeyPatch, who: str, expected: str
) -> None:
    become(guarded.keys[who], monkeypatch)
    with pytest.raises(FinalError, match=expected):
        open_store(wanted, None)


def test_without_credentials_the_variables_are_named(
    wanted: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # no machine of Amazon's
    with pytest.raises(FinalError, match="without credentials: set AWS_ACCESS_KEY_ID and"):
        open_store(wanted, None, first_seconds=0.5)


def test_a_bucket_that_is_not_there(wanted: BucketStore) -> None:
    with pytest.raises(FinalError, match=r"^s3://elsewhere/.* at http://127.*: there is no such"):
        open_store(wanted.model_copy(update={"bucket": "elsewhere"}), None)


def test_an_address_without_a_server_is_final_until_it_has_answered_once(
    wanted: BucketStore,
) -> None:
    away = wanted.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    with pytest.raises(FinalError, match=r"cannot be reached: check artifacts\.storage"):
        open_store(away, None, first_seconds=0.5)
    open_store(wanted, None).close()
    with pytest.raises(UnavailableError, match="does not answer"):
        open_store(away, None, first_seconds=0.5)


def test_a_hub_on_a_folder_does_not_load_the_library(tmp_path: Path) -> None:
    order = FolderStore(folder=str(tmp_path / "store"))
    script = (
        "import sys, atoll_worker.roles.hub\n"
        "from atoll_api.hub_order import FolderStore\n"
        "from atoll_worker.exchange.opening import open_store\n"
        f"open_store(FolderStore(folder={order.folder!r}), None).close()\n"
        "sys.exit(bool({'obstore', 'torch', 'numpy'} & sys.modules.keys()))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
