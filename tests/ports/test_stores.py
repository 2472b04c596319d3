"""One suite for the store: on a disk, in objects in memory, and in a bucket behind a real S3 API."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from s3_server import S3Server
from stored import manifest_of, publish, read_back, upload

from atoll_worker.errors import (
    CorruptArtifactError,
    FinalError,
    InUseError,
    QuotaError,
    UnavailableError,
)
from atoll_worker.exchange.content import Run
from atoll_worker.exchange.objects import open_bucket
from atoll_worker.exchange.store import Limits, NotBoundError, Store

BIG = bytes(range(256)) * 80_000
"""20 MB: more than one part of a multipart upload."""
Open = Callable[..., Store]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture(params=["disk", "memory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store, again and again; two at once only on objects, from two machines."""
    opened: list[Store] = []
    bucket = MemoryStore() if request.param == "memory" else None
    if request.param == "s3":
        bucket = request.getfixturevalue("s3").bucket(uuid.uuid4().hex)

    def open_it(machine: str = "one", quota_bytes: int | None = None) -> Store:
        folder = tmp_path / machine
        if bucket is None:
            store = Store(folder, limits=Limits(quota_bytes))
        else:
            store = open_bucket(bucket, folder, quota_bytes=quota_bytes)
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        store.close()


def test_what_is_bound_comes_back_also_after_a_restart(open_store: Open) -> None:
    store = open_store()
    publish(store, "a", BIG, b"small")
    publish(store, "a/b", BIG, b"other")
    store.write_file("progress.json", b"{}")
    assert read_back(store, "a") == [BIG, b"small"]
    store.close()
    again = open_store()
    assert read_back(again, "a/b") == [BIG, b"other"]
    assert {bound.ref: bound.size_bytes for bound in again.bindings()} == {
        "a": len(BIG) + 5,
        "a/b": len(BIG) + 5,
    }
    assert again.read_file("progress.json") == b"{}"


def test_reading_goes_on_from_an_offset(open_store: Open) -> None:
    store = open_store()
    digest = publish(store, "a", BIG)
    pieces = store.read("a", digest, [Run(len(BIG) - 5, len(BIG))])
    assert [parts for _, parts in pieces] == [[BIG[-5:]]]


def test_a_bound_ref_keeps_its_digest(open_store: Open) -> None:
    store = open_store()
    first = publish(store, "a", b"one")
    assert publish(store, "a", b"two") == first
    assert read_back(store, "a") == [b"one"]


def test_what_was_dropped_is_reclaimed_also_at_the_next_start(open_store: Open) -> None:
    store = open_store()
    publish(store, "a", b"one", b"shared")
    publish(store, "b", b"two", b"shared")
    assert store.drop(["a", "never"]) == ("a",)
    with pytest.raises(NotBoundError):
        store.resolve("a")
    assert read_back(store, "b") == [b"two", b"shared"]
    store.drop(["b"])
    store.close()
    again = open_store(quota_bytes=1000)  # which nothing that was left behind would fit
    session, missing = again.open_upload("c", manifest_of(b"one", b"x" * 300).to_bytes())
    assert missing == [(0, 303)]
    with pytest.raises(QuotaError, match="the job's quota of 1000 are left"):
        again.open_upload("d", manifest_of(b"y" * 900).to_bytes())
    assert session


def test_two_uploads_of_one_ref_bind_once(open_store: Open) -> None:
    store = open_store()
    sessions = [upload(store, "a", bytes([i])) for i in range(4)]
    results = []
    threads = [
        threading.Thread(target=lambda it=it: results.append(store.bind(it))) for it in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [new for _, new in results].count(True) == 1
    assert len({bound.digest for bound, _ in results}) == 1


@pytest.mark.parametrize("open_store", ["memory", "s3"], indirect=True)
def test_two_hubs_of_one_bucket_bind_once(open_store: Open) -> None:
    one, two = open_store("one"), open_store("two")
    sessions = [(store, upload(store, "a", BIG, tag)) for store, tag in ((one, b"1"), (two, b"2"))]
    first, second = [store.bind(session) for store, session in sessions]
    assert (first[1], second[1]) == (True, False)
    assert second[0].digest == first[0].digest
    assert read_back(two, "a") == read_back(one, "a") == [BIG, b"1"]


@pytest.mark.parametrize("open_store", ["disk"], indirect=True)
def test_a_folder_has_one_owner(open_store: Open) -> None:
    open_store()
    with pytest.raises(InUseError, match="belongs to another run"):
        open_store()


def test_an_altered_object_is_noticed(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket("altered")
    store = open_bucket(bucket, tmp_path)
    publish(store, "a", BIG)
    (entry,) = bucket.list_with_delimiter("packs")["objects"]
    bucket.put(entry["path"], bytes(bucket.get(entry["path"]).bytes())[:-1] + b"!")
    with pytest.raises(CorruptArtifactError, match=r"^a cannot be read"):
        read_back(store, "a")
    store.close()


def test_a_bucket_of_another_version_is_left_alone(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket("version")
    bucket.put("VERSION", b"atoll store 2\n")
    with pytest.raises(FinalError, match="holds 'atoll store 2'"):
        open_bucket(bucket, tmp_path)


def test_a_bucket_that_is_away_is_named_and_harms_nothing(tmp_path: Path) -> None:
    server = S3Server()
    options = {"retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}}
    store = open_bucket(server.bucket("away", **options), tmp_path)
    publish(store, "a", b"one")
    session = upload(store, "b", b"two")
    server.kill()
    for attempt in (lambda: read_back(store, "a"), lambda: store.bind(session)) * 2:
        with pytest.raises(UnavailableError, match="does not answer"):
            attempt()
    store.close()
