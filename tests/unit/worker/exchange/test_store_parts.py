"""Artifacts of which the store has a part: uploads that a kill cut off, and what others hold."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from stored import manifest_of, publish, read_back, send, whole

from atoll_worker.exchange.content import Run
from atoll_worker.exchange.disk import LocalDisk
from atoll_worker.exchange.shelf import NotBoundError
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.upload import BusyError, LaterError

BIG = bytes(range(256)) * 10_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def reopen(store: Store) -> Store:
    store.close()
    return Store(store.folder)


def packs_in(store: Store) -> list[Path]:
    return sorted((store.folder / "packs").iterdir())


def test_an_upload_goes_on_after_the_hub_was_killed(tmp_path: Path) -> None:
    """Blobs that came whole count; where the kill cut one, and whatever the disk made of it, not."""
    manifest = manifest_of(BIG, BIG[1:], BIG[2:]).to_bytes()
    content = whole(BIG, BIG[1:], BIG[2:])
    killed = Store(tmp_path)
    session, _ = killed.open_upload("a", manifest)
    send(killed, session, content, [Run(0, 2 * len(BIG) + 500)])
    (part,) = (tmp_path / "incoming").iterdir()
    left = part.read_bytes()
    killed.close()
    part.write_bytes(left)
    again = Store(tmp_path)
    _, missing = again.open_upload("a", manifest)
    assert missing == [(2 * len(BIG) - 1, len(content))]
    send(again, session, content, missing)
    again.bind(session)
    assert read_back(again, "a") == [BIG, BIG[1:], BIG[2:]]
    again.close()


def test_what_was_left_of_an_upload_is_believed_only_as_far_as_its_digests_say(
    tmp_path: Path,
) -> None:
    manifest, content = manifest_of(BIG, BIG[1:]).to_bytes(), whole(BIG, BIG[1:])
    killed = Store(tmp_path)
    session, _ = killed.open_upload("a", manifest)
    send(killed, session, content, [Run(0, len(content))])
    (part,) = (tmp_path / "incoming").iterdir()
    left = bytearray(part.read_bytes())
    left[-len(content) + 7] ^= 1
    killed.close()
    part.write_bytes(left)
    again = Store(tmp_path)
    assert again.open_upload("a", manifest)[1] == [(0, len(content))]
    assert publish(again, "a", BIG, BIG[1:])
    again.close()


def test_what_was_left_of_an_upload_helps_nobody_else(tmp_path: Path) -> None:
    """Whoever learnt a manifest elsewhere brings the bytes, or gets none."""
    manifest, content = manifest_of(BIG).to_bytes(), BIG
    killed = Store(tmp_path)
    session, _ = killed.open_upload("a", manifest)
    send(killed, session, content, [Run(0, len(content))])
    (part,) = (tmp_path / "incoming").iterdir()
    left = part.read_bytes()
    killed.close()
    part.write_bytes(left)
    again = Store(tmp_path)
    assert again.open_upload("b", manifest)[1] == [(0, len(content))]
    again.close()


def test_a_ref_may_be_held_elsewhere_and_published_later(store: Store) -> None:
    manifest = manifest_of(BIG, b"two").to_bytes()
    bound, news = store.hold("islands/0/rounds/1", manifest)
    assert (news, store.is_here(bound)) == (True, False)
    assert store.resolve(bound.ref) == (bound, manifest)
    with pytest.raises(NotBoundError, match="are with who made it"):
        list(store.read(bound.ref, bound.digest, [Run(0, 1)]))
    again = reopen(store)
    assert again.bindings() == (bound,)
    assert not again.is_here(bound)
    assert again.hold(bound.ref, manifest) == (bound, False)
    assert publish(again, bound.ref, BIG, b"two") == bound.digest
    assert again.is_here(bound)
    assert read_back(again, bound.ref) == [BIG, b"two"]
    assert len(packs_in(again)) == 1, "the manifest alone is not kept beside the whole"
    assert again.drop([bound.ref]) == (bound.ref,)
    assert packs_in(again) == []
    again.close()


def test_bytes_that_come_for_a_ref_that_was_held_are_news(store: Store) -> None:
    manifest = manifest_of(BIG)
    store.hold("a", manifest.to_bytes())
    for news in (True, False):
        session, missing = store.open_upload("a", manifest.to_bytes())
        send(store, session, BIG, list(missing))
        assert store.bind(session)[1] is news


def test_what_another_holds_is_not_there_for_an_upload(store: Store) -> None:
    bound, _ = store.hold("islands/0/rounds/1", manifest_of(BIG).to_bytes())
    _, missing = store.open_upload("islands/1/rounds/1", manifest_of(BIG).to_bytes())
    assert missing == [(0, len(BIG))]
    assert publish(store, "islands/1/rounds/1", BIG) == bound.digest
    assert read_back(store, bound.ref) == [BIG], "of the same digest, so of the same bytes"


def test_a_ref_that_is_held_keeps_its_digest(store: Store) -> None:
    bound, _ = store.hold("a", manifest_of(b"one").to_bytes())
    assert publish(store, "a", b"two") == bound.digest
    assert store.hold("a", manifest_of(b"two").to_bytes()) == (bound, False)
    first = publish(store, "b", b"one")
    assert store.hold("b", manifest_of(b"two").to_bytes())[0].digest == first


class _Interrupted(LocalDisk):
    """Does something else in the middle: before each file takes its place."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def replace(self, source: Path, target: Path) -> None:
        self.meanwhile()
        super().replace(source, target)


def test_what_is_about_to_be_held_is_not_collected(tmp_path: Path) -> None:
    """A reader that ends collects what no ref leads to: not a manifest whose ref is being bound."""
    disk = _Interrupted()
    store = Store(tmp_path, disk=disk)
    for name in ("read", "dropped"):
        publish(store, name, name.encode())
    store.open_upload("open", manifest_of(BIG).to_bytes())
    store.drop(["dropped"])
    disk.meanwhile = lambda: store.resolve("read")
    manifest = manifest_of(b"held")
    bound, _ = store.hold("islands/0/rounds/1", manifest.to_bytes())
    assert store.resolve(bound.ref) == (bound, manifest.to_bytes())
    store.close()


def test_who_waits_for_its_turn_is_told_to_ask_again_and_keeps_its_upload(tmp_path: Path) -> None:
    disk = _Interrupted()
    store = Store(tmp_path, disk=disk)
    session, missing = store.open_upload("mine", manifest_of(b"mine").to_bytes())
    send(store, session, b"mine", list(missing))
    refused: list[BaseException] = []

    def bind_mine() -> None:
        disk.meanwhile = lambda: None
        other = Thread(target=lambda: refused.append(_error_of(lambda: store.bind(session, 0.01))))
        other.start()
        other.join()

    disk.meanwhile = bind_mine
    store.hold("other", manifest_of(b"other").to_bytes())
    assert [type(it) for it in refused] == [LaterError]
    assert store.bind(session)[1] is True
    store.close()


def _error_of(call: Callable[[], object]) -> BaseException:
    with pytest.raises(BusyError) as caught:
        call()
    return caught.value
