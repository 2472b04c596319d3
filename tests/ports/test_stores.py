"""One suite for the store: on a disk, in objects in memory, and in a bucket behind a real S3 API."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from s3_server import S3Server, Uplink
from stored import manifest_of, publish, read_back, upload

from atoll_worker.errors import (
    CorruptArtifactError,
    FinalError,
    InUseError,
    QuotaError,
    UnavailableError,
)
from atoll_worker.exchange.content import Run
from atoll_worker.exchange.objects import PART_BYTES, open_bucket, part_bytes_of
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.shelf import NotBoundError
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.upload import WritingError

BIG = bytes(range(256)) * 80_000
"""20 MB: more than one part of a multipart upload."""
WHERE = "s3://artifacts/prefix"
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
            store = open_bucket(bucket, folder, WHERE, quota_bytes=quota_bytes)
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
    store = open_bucket(bucket, tmp_path, "s3://artifacts/altered")
    publish(store, "a", BIG)
    (entry,) = bucket.list_with_delimiter("packs")["objects"]
    bucket.put(entry["path"], bytes(bucket.get(entry["path"]).bytes())[:-1] + b"!")
    with pytest.raises(CorruptArtifactError, match=r"^a cannot be read.*remove s3://artifacts/alt"):
        read_back(store, "a")
    store.close()


def test_an_object_that_is_gone_is_noticed(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket("gone")
    store = open_bucket(bucket, tmp_path, "s3://artifacts/gone")
    digest = publish(store, "a", BIG)
    (entry,) = bucket.list_with_delimiter("packs")["objects"]
    bucket.delete(entry["path"])
    named = (
        r"in s3://artifacts/gone is lost .*remove s3://artifacts/gone/refs/\w+\.json and run again"
    )
    with pytest.raises(CorruptArtifactError, match=named):
        list(store.read("a", digest, [Run(0, len(BIG))]))
    store.close()


def test_an_object_that_was_cut_is_noticed(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket("cut")
    store = open_bucket(bucket, tmp_path, WHERE)
    digest = publish(store, "a", BIG)
    (entry,) = bucket.list_with_delimiter("packs")["objects"]
    bucket.put(entry["path"], bytes(bucket.get(entry["path"]).bytes())[:10_000])
    for run in (Run(0, len(BIG)), Run(len(BIG) - 1, len(BIG))):
        with pytest.raises(CorruptArtifactError, match="is lost or was altered"):
            list(store.read("a", digest, [run]))
    store.close()


def test_reading_takes_few_requests(s3: S3Server, tmp_path: Path) -> None:
    store = open_bucket(s3.bucket("few"), tmp_path, WHERE)
    publish(store, "a", *(bytes([i]) * 1_000_000 for i in range(20)))
    before = s3.requests("GET", "few/packs/")
    assert len(read_back(store, "a")) == 20
    assert s3.requests("GET", "few/packs/") - before == 1 + 3  # the manifest, and 8 MiB each
    assert s3.requests("HEAD", "few/packs/") == 0
    store.close()


def test_a_bucket_of_another_version_is_left_alone(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket("version")
    bucket.put("VERSION", b"atoll store 2\n")
    with pytest.raises(FinalError, match=r"^s3://artifacts/version holds 'atoll store 2'"):
        open_bucket(bucket, tmp_path, "s3://artifacts/version")


def test_a_bucket_that_is_away_is_named_and_harms_nothing(tmp_path: Path) -> None:
    server = S3Server()
    options = {"retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}}
    store = open_bucket(server.bucket("away", **options), tmp_path, "s3://artifacts/away")
    publish(store, "a", b"one")
    session = upload(store, "b", b"two")
    server.kill()
    for attempt in (lambda: read_back(store, "a"), lambda: store.bind(session)) * 2:
        with pytest.raises(UnavailableError, match=r"^s3://artifacts/away does not answer: "):
            attempt()
    store.close()


def test_credentials_that_are_refused_later_are_named_and_final(tmp_path: Path) -> None:
    server = S3Server()
    store = open_bucket(server.bucket("p"), tmp_path, "s3://artifacts/p")
    publish(store, "a", b"one")
    small, large = upload(store, "b", b"two"), upload(store, "c", BIG)
    server.require_credentials()  # as if those that the store has had expired
    named = r"^s3://artifacts/p: the access key is not known there: .* in the hub's environment$"
    for attempt in (
        lambda: read_back(store, "a"),
        lambda: store.bind(small),
        lambda: store.bind(large, 60.0),
        lambda: store.write_file("progress.json", b"{}"),
        lambda: store.drop(["a"]),
    ):
        with pytest.raises(FinalError, match=named):
            attempt()
    store.close()
    with pytest.raises(FinalError, match=named):
        open_bucket(server.bucket("p"), tmp_path, "s3://artifacts/p")
    server.kill()


@pytest.fixture
def uplink(s3: S3Server) -> Uplink:
    options = {"retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}}
    bucket = s3.bucket_of(Uplink, uuid.uuid4().hex, **options)
    bucket.allowed = threading.Semaphore(0)
    return bucket


def written_bytes(store: Store, session: str) -> int:
    """How far the store says it is."""
    with pytest.raises(WritingError) as caught:
        store.bind(session, 0.02)
    return caught.value.written_bytes


def test_whoever_binds_over_a_slow_link_is_told_how_far_it_is_and_others_go_on(
    uplink: Uplink, tmp_path: Path
) -> None:
    store = open_bucket(uplink, tmp_path, "s3://artifacts/p")
    session = upload(store, "a", BIG)
    told = r"^a is being written to s3://artifacts/p: 0 of 204\d+ bytes; ask again$"
    for _ in range(10):  # nobody waits for long, and no thread is left behind
        with pytest.raises(WritingError, match=told):
            store.bind(session, 0.01)
    again, missing = store.open_upload("a", manifest_of(BIG).to_bytes())
    assert (again, list(missing)) == (session, [])
    publish(store, "b", b"small")
    assert read_back(store, "b") == [b"small"]
    store.expire(0.0)  # but not what is being written
    uplink.allowed.release()
    while written_bytes(store, session) < PART_BYTES:
        pass
    uplink.allowed.release(2)
    bound, new = store.bind(session, 60.0)
    assert (bound.ref, new) == ("a", True)
    assert read_back(store, "a") == [BIG]
    store.close()


def test_what_nobody_waited_for_is_bound_at_the_next_call(uplink: Uplink, tmp_path: Path) -> None:
    store = open_bucket(uplink, tmp_path, WHERE)
    session = upload(store, "a", BIG)
    assert written_bytes(store, session) == 0
    uplink.allowed.release(3)
    while not uplink.list_with_delimiter("packs")["objects"]:
        pass
    assert store.bind(session, 60.0)[1]
    assert not list((tmp_path / "incoming").iterdir())
    store.close()


def test_what_came_of_a_slow_write_is_told_whoever_calls_next(tmp_path: Path) -> None:
    server = S3Server()
    options = {"retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}}
    uplink = server.bucket_of(Uplink, "told", **options)
    uplink.allowed = threading.Semaphore(0)
    store = open_bucket(uplink, tmp_path, WHERE)
    session = upload(store, "a", BIG)
    assert written_bytes(store, session) == 0
    server.kill()
    uplink.allowed.release(100)
    for _ in range(2):  # and tried again
        with pytest.raises(UnavailableError, match="does not answer"):
            store.bind(session, 60.0)
    store.close()


def test_a_store_that_closes_leaves_nothing_half_written(
    uplink: Uplink, s3: S3Server, tmp_path: Path
) -> None:
    store = open_bucket(uplink, tmp_path, WHERE)
    session = upload(store, "a", BIG)
    assert written_bytes(store, session) == 0
    closing = threading.Thread(target=store.close)
    closing.start()
    while store.received_bytes("a"):  # a part let through sooner has the next one waited for
        time.sleep(0.01)
    uplink.allowed.release()
    closing.join()
    assert not uplink.list_with_delimiter("packs")["objects"]
    assert s3.unfinished_uploads() == 0
    assert not list((tmp_path / "incoming").iterdir())
    again = open_bucket(uplink, tmp_path, WHERE)
    uplink.allowed.release(3)
    publish(again, "a", BIG)
    assert read_back(again, "a") == [BIG]
    again.close()


@pytest.mark.parametrize(
    ("size_bytes", "parts"), [(PART_BYTES + 1, 2), (10_000 * PART_BYTES, 10_000), (2**40, 10_000)]
)
def test_no_pack_has_more_parts_than_a_bucket_takes(size_bytes: int, parts: int) -> None:
    assert -(-size_bytes // part_bytes_of(size_bytes)) == parts
