"""The store on a real folder, and on a disk that fails when told to."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing_disk import CrashingDisk
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import manifest_of, publish, read_back, send, whole

from atoll_worker.errors import (
    CorruptArtifactError,
    FinalError,
    InUseError,
    NoSpaceError,
    UnavailableError,
    WorkerError,
)
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.content import ContentError, Run, digest_of
from atoll_worker.exchange.disk import AwayError, FullError, LocalDisk, RefusedError
from atoll_worker.exchange.folder import Folder
from atoll_worker.exchange.manifest import ManifestError
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.shelf import ChangedError, NotBoundError
from atoll_worker.exchange.spares import SpareSizes
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.upload import BusyError

BIG = bytes(range(256)) * 10_000  # spans three pieces
NO_SPARES = Limits(spares=SpareSizes(0))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FailingDisk(LocalDisk):
    """A disk on which one kind of call fails with one error."""

    def __init__(self) -> None:
        self.fails: dict[str, int] = {}

    def _maybe_fail(self, call: str) -> None:
        if call in self.fails:
            raise OSError(self.fails[call], "planted")

    def create(self, path: Path, size_bytes: int) -> int:
        self._maybe_fail("create")
        return super().create(path, size_bytes)

    def write(self, descriptor: int, content: bytes | memoryview, offset_bytes: int) -> None:
        self._maybe_fail("write")
        super().write(descriptor, content, offset_bytes)

    def sync(self, descriptor: int) -> None:
        self._maybe_fail("sync")
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._maybe_fail("replace")
        super().replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self._maybe_fail("sync_folder")
        super().sync_folder(folder)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def packs_in(store: Store) -> list[Path]:
    return sorted((store.folder / "packs").iterdir())


def reopen(store: Store) -> Store:
    store.close()
    return Store(store.folder)


def test_what_is_bound_comes_back_also_after_a_restart(store: Store) -> None:
    publish(store, "a", BIG, b"small")
    assert read_back(store, "a") == [BIG, b"small"]
    again = reopen(store)
    assert read_back(again, "a") == [BIG, b"small"]
    assert [(it.ref, it.size_bytes) for it in again.bindings()] == [("a", len(BIG) + 5)]
    again.close()


def test_known_blobs_are_not_asked_for_again(store: Store) -> None:
    publish(store, "a", BIG, b"one")
    _, missing = store.open_upload("b", manifest_of(BIG, b"two").to_bytes())
    assert missing == [(len(BIG), len(BIG) + 3)]


def test_a_bound_ref_keeps_its_digest(store: Store) -> None:
    first = publish(store, "a", b"one")
    assert publish(store, "a", b"two") == first
    assert read_back(store, "a") == [b"one"]


def test_of_two_uploads_the_first_to_bind_wins(store: Store) -> None:
    slow, _ = store.open_upload("a", manifest_of(b"slow").to_bytes())
    fast, _ = store.open_upload("a", manifest_of(b"fast").to_bytes())
    send(store, slow, b"slow", [Run(0, 4)])
    send(store, fast, b"fast", [Run(0, 4)])
    assert store.bind(fast)[1] is True
    bound, new = store.bind(slow)
    assert (bound.digest, new) == (manifest_of(b"fast").digest, False)
    assert list((store.folder / "incoming").iterdir()) == []


def test_an_upload_goes_on_where_it_broke_off(store: Store) -> None:
    manifest, content = manifest_of(b"one", BIG).to_bytes(), whole(b"one", BIG)
    session, _ = store.open_upload("a", manifest)
    send(store, session, content, [Run(0, 1003)])
    again, missing = store.open_upload("a", manifest)
    assert again == session
    assert missing == [(1003, len(content))]
    send(store, again, content, missing)
    store.bind(again)
    assert read_back(store, "a") == [b"one", BIG]


def test_binding_an_incomplete_upload_is_refused(store: Store) -> None:
    session, _ = store.open_upload("a", manifest_of(b"one").to_bytes())
    with pytest.raises(BusyError, match="lacks 3 bytes"):
        store.bind(session)
    assert store.bindings() == ()


def test_an_altered_blob_is_refused_and_may_be_sent_again(store: Store) -> None:
    session, _ = store.open_upload("a", manifest_of(b"one").to_bytes())
    with pytest.raises(CorruptArtifactError, match="arrived altered"):
        send(store, session, b"two", [Run(0, 3)])
    send(store, session, b"one", [Run(0, 3)])
    assert store.bind(session)[1]


@pytest.mark.parametrize("taken_over_by", ["missing", "stream"])
def test_the_last_stream_to_come_sends_alone(store: Store, taken_over_by: str) -> None:
    manifest = manifest_of(BIG).to_bytes()
    session, _ = store.open_upload("a", manifest)
    first = store.writer(session)
    first.write(0, memoryview(BIG)[:10])
    if taken_over_by == "missing":
        assert store.open_upload("a", manifest)[1] == [(10, len(BIG))]
    second = store.writer(session)
    with pytest.raises(BusyError, match="another stream"):
        first.write(10, memoryview(BIG)[10:20])
    second.write(10, memoryview(BIG)[10:])
    assert store.bind(session)[1]


@pytest.mark.parametrize(("position", "content"), [(1, b"n"), (0, b"ones"), (3, b""), (0, b"")])
def test_bytes_out_of_place_are_refused(store: Store, position: int, content: bytes) -> None:
    session, _ = store.open_upload("a", manifest_of(b"one").to_bytes())
    with pytest.raises(ManifestError, match="goes on at 0"):
        store.writer(session).write(position, memoryview(content))


def test_bytes_nobody_asked_for_are_refused(store: Store) -> None:
    publish(store, "a", b"one")
    session, missing = store.open_upload("b", manifest_of(b"one", b"two").to_bytes())
    assert missing == [(3, 6)]
    with pytest.raises(ManifestError, match="goes on at 3"):
        store.writer(session).write(0, memoryview(b"one"))


def test_dropping_reclaims_what_no_ref_reaches(store: Store) -> None:
    publish(store, "a", BIG, b"one")
    publish(store, "b", BIG, b"two")
    assert len(packs_in(store)) == 2
    store.drop(["a", "never-bound"])
    assert len(packs_in(store)) == 2, "b needs the blob in a's pack"
    assert read_back(store, "b") == [BIG, b"two"]
    assert store.drop(["b", "b"]) == ("b",), "a ref that is named twice is dropped once"
    assert packs_in(store) == []
    with pytest.raises(NotBoundError, match="nothing is bound to a"):
        store.resolve("a")


def test_an_open_upload_keeps_what_it_was_told_is_there(store: Store) -> None:
    publish(store, "a", BIG)
    session, missing = store.open_upload("b", manifest_of(BIG, name="b").to_bytes())
    assert missing == []
    store.drop(["a"])
    store.bind(session)
    assert read_back(store, "b") == [BIG]


def test_an_idle_upload_ends_and_frees_its_space(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, clock=clock, limits=NO_SPARES)
    publish(store, "a", BIG)
    session, _ = store.open_upload("b", manifest_of(BIG, b"two").to_bytes())
    store.drop(["a"])
    clock.now = 599.0
    store.expire(600.0)
    assert len(packs_in(store)) == 1
    clock.now = 600.0
    store.expire(600.0)
    assert packs_in(store) == []
    assert list((tmp_path / "incoming").iterdir()) == []
    with pytest.raises(BusyError, match="has ended"):
        store.bind(session)


def test_a_reader_keeps_what_it_reads(store: Store) -> None:
    digest = publish(store, "a", BIG)
    reader = store.read("a", digest, [Run(0, len(BIG))])
    pieces = [*next(reader)[1]]
    store.drop(["a"])
    pieces += [part for _, parts in reader for part in parts]
    assert b"".join(pieces) == BIG
    assert packs_in(store) == []


def test_reading_goes_on_from_an_offset(store: Store) -> None:
    digest = publish(store, "a", BIG)
    for begin, end in ((1, len(BIG)), (1 << 20, len(BIG)), ((1 << 20) + 5, (1 << 20) + 9)):
        pieces = list(store.read("a", digest, [Run(begin, end)]))
        assert pieces[0][0] == begin
        assert b"".join(part for _, parts in pieces for part in parts) == BIG[begin:end]


def test_reading_names_what_it_refuses(store: Store) -> None:
    digest = publish(store, "a", b"one")
    with pytest.raises(ContentError, match="within the 3 of the artifact"):
        list(store.read("a", digest, [Run(0, 4)]))
    with pytest.raises(ChangedError, match="resolve it again"):
        list(store.read("a", digest_of(b"x"), []))


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "head"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_damaged_pack_is_noticed_and_named(store: Store, damage: str, *, restart: bool) -> None:
    publish(store, "experts/0", BIG)
    (path,) = packs_in(store)
    content = bytearray(path.read_bytes())
    content[60 if damage == "head" else -1] ^= 1
    if damage == "remove":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-100])
    else:
        path.write_bytes(content)
    reader = reopen(store) if restart else store
    with pytest.raises(CorruptArtifactError, match=r"^experts/0 .*(blob|manifest) blake3:"):
        read_back(reader, "experts/0")
    reader.close()


def test_publishing_again_heals_a_damaged_blob(store: Store) -> None:
    publish(store, "a", BIG)
    (path,) = packs_in(store)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptArtifactError):
        read_back(store, "a")
    publish(store, "b", BIG, name="b")
    assert read_back(store, "a") == read_back(store, "b") == [BIG]


def test_an_altered_ref_is_named_at_the_start(store: Store) -> None:
    publish(store, "a", b"one")
    (path,) = (store.folder / "refs").iterdir()
    path.write_text(json.dumps({"ref": "a"}))
    store.close()
    with pytest.raises(CorruptArtifactError, match=path.name):
        Store(store.folder)
    path.unlink()
    Store(store.folder).close()


@pytest.mark.parametrize(
    "document", ['{"ref": 1, "digest": 2}', "[]", "7", '{"ref": "a"}', "[" * 9999]
)
def test_a_ref_that_is_json_and_none_of_ours_is_named(store: Store, document: str) -> None:
    publish(store, "experts/0", b"x")
    (path,) = (store.folder / "refs").iterdir()
    path.write_text(document)
    with pytest.raises(CorruptArtifactError, match="was altered: remove it"):
        reopen(store)


def test_a_ref_that_a_bit_has_renamed_is_named(store: Store) -> None:
    """It was bound under the other name, and nobody was told."""
    publish(store, "experts/0", b"x")
    (path,) = (store.folder / "refs").iterdir()
    path.write_text(path.read_text().replace("experts/0", "experts/1"))
    with pytest.raises(CorruptArtifactError, match="was altered: remove it"):
        reopen(store)


def test_a_pack_whose_index_is_no_list_is_passed_over(store: Store) -> None:
    for index in (b"7", b"[" * 100_000):
        head = packs.PREFIX.pack(b"ATOLPK01", 0, len(index)) + index
        (store.folder / "packs" / packs.name_of(head)).write_bytes(head)
    publish(store, "a", b"one")
    assert read_back(reopen(store), "a") == [b"one"]


def test_a_folder_has_one_owner(store: Store) -> None:
    with pytest.raises(InUseError, match="belongs to another run"):
        Store(store.folder)


@pytest.mark.parametrize("call", ["create", "write", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_torn(tmp_path: Path, call: str, code: int) -> None:
    disk = FailingDisk()
    store = Store(tmp_path, disk)
    publish(store, "a", b"one")
    disk.fails[call] = code
    with pytest.raises(NoSpaceError, match=r"bytes .* are free|read-only"):
        publish(store, "b", BIG)
    disk.fails.clear()
    assert publish(store, "b", BIG) == manifest_of(BIG).digest
    again = reopen(store)
    assert read_back(again, "a") == [b"one"]
    assert read_back(again, "b") == [BIG]
    again.close()


def test_a_full_disk_says_how_many_bytes_are_needed(tmp_path: Path) -> None:
    disk = FailingDisk()
    store = Store(tmp_path, disk)
    disk.fails["create"] = errno.ENOSPC
    with pytest.raises(NoSpaceError, match=r"cannot take 25\d{5} bytes .* \d+ are free"):
        publish(store, "b", BIG)


@pytest.mark.parametrize("call", ["sync", "sync_folder"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_is_final(tmp_path: Path, call: str, code: int) -> None:
    disk = FailingDisk()
    store = Store(tmp_path, disk)
    publish(store, "a", b"one")
    disk.fails[call] = code
    with pytest.raises(WorkerError, match="planted"):
        publish(store, "b", BIG)
    disk.fails.clear()
    with pytest.raises(WorkerError, match="planted"):
        publish(store, "b", BIG)
    with pytest.raises(WorkerError, match="planted"):
        store.drop(["a"])
    assert read_back(store, "a") == [b"one"]


@pytest.mark.parametrize("call", ["create", "write", "sync", "replace", "sync_folder"])
def test_a_crash_at_any_point_leaves_a_store_that_starts(tmp_path: Path, call: str) -> None:
    disk = FailingDisk()
    store = Store(tmp_path, disk)
    publish(store, "a", b"one")
    session, _ = store.open_upload("b", manifest_of(BIG).to_bytes())
    if call not in ("create", "write"):
        send(store, session, BIG, [Run(0, len(BIG))])
    disk.fails[call] = errno.EIO
    with pytest.raises((WorkerError, BusyError)):
        store.bind(session)
    (tmp_path / "incoming" / "left.part").write_bytes(b"half")
    again = reopen(store)
    assert read_back(again, "a") == [b"one"]
    assert publish(again, "b", BIG) == manifest_of(BIG).digest
    assert list((tmp_path / "incoming").iterdir()) == []
    again.close()


def test_the_next_round_overwrites_the_last(store: Store) -> None:
    publish(store, "rounds/1", BIG)
    (path,) = packs_in(store)
    file = path.stat().st_ino
    store.drop(["rounds/1"])
    other = BIG[::-1][:-5]
    publish(store, "rounds/2", other)
    assert [path.stat().st_ino for path in packs_in(store)] == [file]
    again = reopen(store)
    assert read_back(again, "rounds/2") == [other]
    again.close()


def test_no_more_than_the_limit_is_kept_to_be_overwritten(tmp_path: Path) -> None:
    store = Store(tmp_path, limits=Limits(spares=SpareSizes(len(BIG) * 2)))
    for name in "abc":
        publish(store, name, BIG + name.encode())
    store.drop(["a", "b", "c"])
    assert len(list((tmp_path / "incoming").iterdir())) == 1
    store.close()


def test_a_ref_whose_manifest_is_lost_keeps_all_packs(store: Store) -> None:
    publish(store, "a", b"one")
    (lost,) = packs_in(store)
    publish(store, "b", b"one", b"two")
    store.drop(["b"])
    lost.write_bytes(b"")
    again = reopen(store)
    publish(again, "c", b"three")
    again.drop(["c"])
    assert len(packs_in(again)) == 2
    again.drop(["a"])
    assert packs_in(again) == [lost]
    again.close()


def test_small_files_are_replaced_whole(store: Store) -> None:
    assert store.read_file("progress.json") is None
    for content in (b"long content", b"short"):
        store.write_file("progress.json", content)
        assert store.read_file("progress.json") == content


def test_a_pack_stays_whole_while_one_of_its_blobs_is_needed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", limits=NO_SPARES)
    kept = [bytes([i]) * 10 for i in range(4)]
    for i, small in enumerate(kept):
        publish(store, f"rounds/{i}", small, bytes([i]) * 5000)
    publish(store, "last", *kept)
    store.drop([f"rounds/{i}" for i in range(4)])
    # The worst there is: one pack for each blob that is bound, and one for the manifest.
    assert len(packs_in(store)) == len(kept) + 1
    assert sum(path.stat().st_size for path in packs_in(store)) > len(kept) * 5000
    publish(store, "next", *kept[:1])
    store.drop(["last"])
    assert len(packs_in(store)) == 1 + 1
    store.drop(["next"])
    assert packs_in(store) == []
    store.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sets(st.integers(0, 5), min_size=1)), max_size=12
    )
)
def test_there_are_no_more_packs_than_blobs_and_manifests_that_are_bound(
    rounds: list[tuple[str, set[int]]],
) -> None:
    disk = CrashingDisk()
    store = Store(Path("/store"), disk, limits=NO_SPARES)
    for ref, parts in rounds:
        store.drop([ref])
        publish(store, ref, *(bytes([65 + i]) * (10 + i) for i in sorted(parts)))
    store.drop([])
    bound = store.bindings()
    blobs = {blob for it in bound for blob in it.content.blobs}
    count = len(disk.names(Path("/store/packs")))
    assert count <= len(blobs) + len({it.digest for it in bound})


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (AwayError(0, "timed out"), UnavailableError, "does not answer: timed out"),
        (RefusedError(0, "the token has expired"), FinalError, ": the token has expired"),
        (
            FullError(0, "full"),
            NoSpaceError,
            r"cannot take 7 bytes \(full\): free some space there",
        ),
    ],
)
def test_what_a_bucket_says_names_the_bucket_and_breaks_nothing(
    tmp_path: Path, error: OSError, kind: type[WorkerError], expected: str
) -> None:
    class Elsewhere(LocalDisk):
        def place(self, path: Path) -> str:
            return f"s3://b/{path.name}"

    folder = Folder(tmp_path / "p", Elsewhere(), SpareSizes(0))
    with pytest.raises(kind, match=f"^s3://b/p ?{expected}"), folder.writing(7):
        raise error
    assert not folder.broken
    folder.release()
