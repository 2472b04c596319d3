"""What counts against a job's quota beside the bytes that it brings."""

from pathlib import Path

import pytest
from stored import manifest_of, publish

from atoll_worker.errors import QuotaError
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.upload import BusyError

BIG = bytes(range(256)) * 10_000  # spans three pieces


def test_manifests_that_are_held_count(tmp_path: Path) -> None:
    store = Store(tmp_path, limits=Limits(quota_bytes=1500))
    first = manifest_of(b"elsewhere").to_bytes()
    store.hold("a", first)
    with pytest.raises(QuotaError, match=r"^b needs \d+ bytes, \d+ of the job's quota of 1500"):
        store.hold("b", manifest_of(b"also", note="x" * 1500).to_bytes())
    assert store.hold("b", first)[1], "what is there already costs nothing"
    store.close()


def test_uploads_that_are_open_are_counted_and_one_that_ends_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path, limits=Limits(uploads=2))
    first, second, third = (manifest_of(it).to_bytes() for it in (b"one", b"two", b"three"))
    for ref, manifest in (("a", first), ("b", second), ("a", first)):
        store.open_upload(ref, manifest)  # the same again is the same upload
    with pytest.raises(BusyError, match="2 uploads are open already: try again later"):
        store.open_upload("c", third)
    store.expire(0.0)
    store.open_upload("c", third)
    store.close()


def test_a_job_keeps_no_more_than_its_quota(tmp_path: Path) -> None:
    store = Store(tmp_path, limits=Limits(quota_bytes=len(BIG) + 1500))
    publish(store, "a", BIG)
    with pytest.raises(QuotaError, match=r"^b needs 25\d{5} bytes, \d{1,4} of the job's quota of"):
        store.open_upload("b", manifest_of(BIG[1:]).to_bytes())
    publish(store, "c", BIG, c="its blob is there")
    store.drop(["a", "c"])
    publish(store, "b", BIG[1:])
    kept = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(kept) < len(BIG) + 3000
    store.close()


def test_an_open_upload_counts_against_the_quota(tmp_path: Path) -> None:
    store = Store(tmp_path, limits=Limits(quota_bytes=len(BIG) + 1500))
    store.open_upload("a", manifest_of(BIG).to_bytes())
    with pytest.raises(QuotaError):
        store.open_upload("b", manifest_of(BIG[1:]).to_bytes())
    store.expire(0.0)
    store.open_upload("b", manifest_of(BIG[1:]).to_bytes())
    store.close()
