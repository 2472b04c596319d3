"""A store whose files were damaged: it opens or says why not, and hands out no byte that is wrong."""

import shutil
from pathlib import Path
from random import Random
from typing import Final

from damage import damaged_folder, read_folder, write_folder
from fuzzing import Fuzz
from stored import publish, read_back, upload

from atoll.progress.v1 import progress_pb2 as pb
from atoll_worker.errors import CorruptArtifactError, WorkerError
from atoll_worker.exchange.content import digest_of
from atoll_worker.exchange.disk import LocalDisk
from atoll_worker.exchange.progress import ProgressBook
from atoll_worker.exchange.reported import ReportedTotals
from atoll_worker.exchange.shelf import NotBoundError
from atoll_worker.exchange.store import Store
from atoll_worker.metrics import REPORTED
from atoll_worker.roles.hub import PROGRESS_FILE, TOTALS_FILE

BLOBS: Final = (b"one" * 9, b"two" * 400, bytes(3000), b"\xff" * 70_000)


class Unsynced(LocalDisk):
    """No power is cut here: crashes are tests of their own."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


def built(folder: Path) -> dict[str, bytes]:
    """The files of a store with artifacts that share blobs, an upload that broke off, and two books."""
    store = Store(folder, Unsynced())
    publish(store, "experts/0", BLOBS[0], BLOBS[1])
    publish(store, "experts/1", BLOBS[1], BLOBS[2], role="expert")
    publish(store, "checkpoints/island-0/7", BLOBS[3])
    publish(store, "init")
    store.hold("islands/0/rounds/1", b'{"metadata":{},"parents":[],"schema":1,"tensors":[]}')
    book = ProgressBook(lambda: 1.0)
    samples = [pb.Sample(name=name, value=1.5) for name in REPORTED]
    totals = pb.Totals(attempt="a", samples=samples)
    progress = pb.StepProgress(step_name="island-0", done_count=7, total_count=9, loss=0.5)
    book.take(pb.ReportRequest(progress=progress, totals=totals))
    store.write_file(PROGRESS_FILE, book.dump())
    store.write_file(TOTALS_FILE, book.totals.dump())
    store.close()
    return read_folder(folder)


def use(store: Store) -> str:
    """All that is bound, as somebody would read it; then go on."""
    lost = 0
    for bound in store.bindings():
        try:
            blobs = read_back(store, bound.ref)
        except (CorruptArtifactError, NotBoundError) as error:
            assert str(error)
            lost += 1
            continue
        _, content = store.resolve(bound.ref)
        assert digest_of(content) == bound.digest
        assert [digest_of(it) for it in blobs] == [it.digest for it in bound.content.blobs]
    for name in (PROGRESS_FILE, TOTALS_FILE):
        load(store.read_file(name), name)
    again = publish(store, "experts/2", BLOBS[0], b"new")
    assert read_back(store, "experts/2") == [BLOBS[0], b"new"]
    upload(store, "experts/3", BLOBS[2], b"begun")
    store.drop([it.ref for it in store.bindings()][:2])
    return f"{again and 'opened'}, {'some' if lost else 'none'} lost"


def load(saved: bytes | None, name: str) -> None:
    """A hub starts with what it finds in a book, or without."""
    book = ProgressBook(lambda: 1.0)
    if saved is not None:
        (book.load if name == PROGRESS_FILE else book.totals.load)(saved)
    again = ProgressBook(lambda: 1.0)
    again.load(book.dump())
    assert again.dump() == book.dump()
    again.totals.load(book.totals.dump())
    assert len(list(ReportedTotals(again.totals).collect())) == len(REPORTED)


def named(store: Store) -> dict[str, str]:
    return {it.ref: it.digest for it in store.bindings()}


def test_stores(fuzz: Fuzz, tmp_path: Path) -> None:
    files = built(tmp_path / "whole")
    folder = tmp_path / "damaged"

    def case(random: Random) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        found = damaged_folder(random, files)
        write_folder(folder, found)
        try:
            store = Store(folder, Unsynced())
        except WorkerError as error:
            assert str(error)
            return f"refused: {type(error).__name__}"
        try:
            said = use(store)
        except WorkerError:
            assert None in found.values(), "nothing was in the way"
            return "stopped by a folder where a file should be"
        finally:
            store.close()
        again = Store(folder, Unsynced())
        assert named(again) == named(store)
        again.close()
        return said

    meets = {"opened, none lost", "opened, some lost", "refused: CorruptArtifactError"}
    fuzz.run("stores", case, meets)
