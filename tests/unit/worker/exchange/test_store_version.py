"""A store of another version, and a VERSION that was altered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import publish

from atoll_worker.errors import FinalError
from atoll_worker.exchange.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_store_of_another_version_is_left_alone(store: Store) -> None:
    publish(store, "a", b"one")
    store.close()
    (store.folder / "VERSION").write_text("atoll store 2\n")
    (store.folder / "incoming" / "theirs").write_bytes(b"")
    with pytest.raises(
        FinalError, match=r"^.* holds 'atoll store 2', .* reads 'atoll store 1': use"
    ):
        Store(store.folder)
    assert (store.folder / "incoming" / "theirs").exists()


@pytest.mark.parametrize("altered", [b"ctoll store 1\n", b"atoll stor", b"", b"\x00\xff"])
def test_a_version_that_was_altered_is_said_to_be_and_removing_it_mends(
    store: Store, altered: bytes
) -> None:
    publish(store, "a", b"one")
    store.close()
    (store.folder / "VERSION").write_bytes(altered)
    with pytest.raises(FinalError, match=r"VERSION was altered: .* remove that file and run again"):
        Store(store.folder)
    (store.folder / "VERSION").unlink()
    again = Store(store.folder)
    assert [it.ref for it in again.bindings()] == ["a"]
    again.close()


def test_a_version_without_its_end_of_line_is_the_same(store: Store) -> None:
    store.close()
    (store.folder / "VERSION").write_bytes(b"atoll store 1")
    Store(store.folder).close()
