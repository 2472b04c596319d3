"""The store on a disk that loses what was not synced, or fails, at every single call."""

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import stored
from crashing_disk import CrashingDisk, PowerCutError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atoll_worker.errors import NoSpaceError, WorkerError
from atoll_worker.exchange.content import Run
from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.shelf import NotBoundError
from atoll_worker.exchange.spares import SpareSizes
from atoll_worker.exchange.store import Store

FOLDER = Path("/store")
CONTENTS = [bytes([65 + i]) * (100 + 7 * i) for i in range(4)]
"""Each of another size."""


@dataclass
class Promises:
    """What the store has told the caller."""

    bound: dict[str, str] = field(default_factory=dict)
    """Refs, and their digests."""
    unsure: dict[str, set[str]] = field(default_factory=dict)
    """Refs that a call was at work on, and the digests that they may have."""
    small: set[bytes | None] = field(default_factory=lambda: {None})

    def begin(self, ref: str, *digests: str) -> None:
        """A call is at work on a ref, which may come to have one of these digests."""
        self.unsure.setdefault(ref, set()).update({self.bound.get(ref, ""), *digests})

    def end(self, ref: str, bound: Bound, *, new: bool, digest: str) -> None:
        """The call said what stands: its own if that is news, or what a cut left in doubt."""
        assert bound.digest == digest if new else bound.digest in self.unsure[ref]
        self.bound[ref] = bound.digest
        del self.unsure[ref]


@dataclass(frozen=True)
class Publish:
    ref: str
    parts: tuple[int, ...]

    def __call__(self, store: Store, told: Promises) -> None:
        manifest = manifest_of(self.ref, *(CONTENTS[i] for i in self.parts))
        told.begin(self.ref, manifest.digest)
        session, missing = store.open_upload(self.ref, manifest.to_bytes())
        content = stored.whole(*(CONTENTS[i] for i in self.parts))
        for begin, end in missing:  # blob by blob: a cut may come between any two
            starts = [begin, *(it for it in manifest.content.starts if begin < it < end), end]
            stored.send(store, session, content, [Run(*pair) for pair in pairwise(starts)])
        bound, new = store.bind(session)
        told.end(self.ref, bound, new=new, digest=manifest.digest)


@dataclass(frozen=True)
class Drop:
    ref: str

    def __call__(self, store: Store, told: Promises) -> None:
        told.begin(self.ref, "")
        told.bound.pop(self.ref, None)
        store.drop([self.ref])
        told.unsure.pop(self.ref)


@dataclass(frozen=True)
class Keep:
    content: bytes

    def __call__(self, store: Store, told: Promises) -> None:
        told.small.add(self.content)
        store.write_file("progress.json", self.content)
        told.small = {self.content}


@dataclass(frozen=True)
class Hold:
    """A ref whose bytes stay with its holder; whoever was told so is told so again."""

    ref: str
    parts: tuple[int, ...]

    def __call__(self, store: Store, told: Promises) -> None:
        manifest = manifest_of(self.ref, *(CONTENTS[i] for i in self.parts))
        told.begin(self.ref, manifest.digest)
        bound, new = store.hold(self.ref, manifest.to_bytes())
        told.end(self.ref, bound, new=new, digest=manifest.digest)


@dataclass(frozen=True)
class Abandon:
    """An upload that ends before its end."""

    def __call__(self, store: Store, told: Promises) -> None:
        told.unsure.setdefault("abandoned", {""})
        store.open_upload("abandoned", manifest_of("x", CONTENTS[0]).to_bytes())
        store.expire(0.0)


Act = Publish | Hold | Drop | Keep | Abandon
SCRIPTS: dict[str, list[Act]] = {
    "recycle": [
        Publish("a", (0, 1)),
        Publish("b", (1, 2)),
        Drop("a"),
        Publish("c", (2, 3)),
        Drop("b"),
        Publish("a", (0,)),
        Publish("d", (3,)),
    ],
    "rounds": [Publish("a", (0,)), Drop("a"), Publish("a", (1,)), Drop("a"), Publish("a", (2,))],
    "same content": [Publish("a", (0,)), Publish("b", (0,)), Drop("a"), Keep(b"1"), Keep(b"22")],
    "held": [
        Hold("a", (0, 1)),
        Publish("b", (1,)),
        Publish("a", (0, 1)),
        Drop("b"),
        Hold("a", (0, 1)),
        Hold("b", (2,)),
        Drop("a"),
        Drop("b"),
    ],
    "abandoned": [Publish("a", (0,)), Drop("a"), Abandon(), Publish("b", (0, 3)), Drop("b")],
}


def manifest_of(name: str, *contents: bytes) -> Manifest:
    return stored.manifest_of(*contents, name=name)


def open_store(disk: CrashingDisk, spare_bytes: int = 1 << 30) -> Store:
    return Store(FOLDER, disk, lambda: 0.0, Limits(spares=SpareSizes(spare_bytes, 0)))


def play(disk: CrashingDisk, script: list[Act], told: Promises) -> None:
    store = open_store(disk)
    for act in script:
        act(store, told)
    store.close()


def held(store: Store, ref: str) -> str:
    """The digest of what a ref is bound to, read whole; nothing if it is not bound."""
    try:
        bound, _ = store.resolve(ref)
    except NotBoundError:
        return ""
    if store.is_here(bound):
        assert sum(map(len, stored.read_back(store, ref))) == bound.size_bytes
    return bound.digest


def check(disk: CrashingDisk, told: Promises) -> None:
    """All that was promised is there, nothing is torn, and no space is lost."""
    store = open_store(disk)
    for ref, digest in told.bound.items():
        if ref not in told.unsure:
            assert held(store, ref) == digest
    for ref, digests in told.unsure.items():
        assert held(store, ref) in digests
    known = {*told.bound, *told.unsure}
    assert {bound.ref for bound in store.bindings()} <= known
    assert store.read_file("progress.json") in told.small
    # What the store believes to hold it does hold: whoever counts on it finds it whole.
    told.unsure.pop("z", None)
    Publish("z", (0, 1, 2, 3))(store, Promises())
    assert held(store, "z") == manifest_of("z", *CONTENTS).digest
    store.drop([*known, "z"])
    assert disk.used_bytes(FOLDER / "packs") == 0
    store.close()
    open_store(disk, spare_bytes=0).close()
    assert disk.used_bytes(FOLDER / "incoming") == 0


def keepers() -> Iterator[Callable[[], bool]]:
    """Which unsynced changes survive: none, all, and arbitrary ones."""
    yield lambda: False
    yield lambda: True
    for seed in range(3):
        chance = random.Random(seed)
        yield lambda: chance.random() < 0.5  # noqa: B023 - used before the next


def calls_of(script: list[Act]) -> int:
    disk = CrashingDisk()
    play(disk, script, Promises())
    return disk.calls


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_no_power_cut_breaks_a_promise(script: list[Act]) -> None:
    for cut_at in range(1, calls_of(script) + 2):
        for keep in keepers():
            disk, told = CrashingDisk(), Promises()
            disk.cut_at = cut_at
            with suppress(PowerCutError):
                play(disk, script, told)
            check(disk.restarted(keep), told)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_kill_and_then_a_power_cut_break_no_promise(script: list[Act]) -> None:
    for cut_at in range(1, calls_of(script) + 2):
        disk, told = CrashingDisk(), Promises()
        disk.cut_at = cut_at
        with suppress(PowerCutError):
            play(disk, script, told)
        store = open_store(disk.killed())
        seen = {bound.ref: bound.digest for bound in store.bindings()}
        after = disk.restarted(lambda: False)
        again = open_store(after)
        for ref, digest in seen.items():  # who watched the hub was told of them
            assert held(again, ref) == digest
        again.close()
        check(after, told)


@example([Abandon(), Publish("b", (0,)), Hold("a", (0,))], [36, 7], random.Random(0))
@example([Hold("a", (0,)), Publish("b", (0,))], [12, 90], random.Random(1))
@settings(max_examples=60, deadline=None)
@given(
    acts=st.lists(
        st.builds(
            Publish,
            st.sampled_from("abc"),
            st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True).map(tuple),
        )
        | st.builds(Drop, st.sampled_from("abc"))
        | st.builds(Hold, st.sampled_from("abc"), st.sampled_from([(0,), (1, 2)]))
        | st.just(Abandon()),
        min_size=2,
        max_size=7,
    ),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=2),
    chance=st.randoms(use_true_random=False),
)
def test_no_sequence_of_calls_and_cuts_breaks_a_promise(
    acts: list[Act], cuts: list[int], chance: random.Random
) -> None:
    disk, told = CrashingDisk(), Promises()
    for cut_at in cuts:
        disk.cut_at = cut_at
        with suppress(PowerCutError):
            play(disk, acts, told)
        disk = disk.restarted(lambda: chance.random() < 0.5)
    check(disk, told)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_failing_call_is_told_in_a_line_and_tears_nothing(script: list[Act], code: int) -> None:
    for fail_at in range(1, calls_of(script) + 1):
        disk, told = CrashingDisk(), Promises()
        disk.fail_at, disk.fail_code = fail_at, code
        error = run_into_failure(disk, script, told)
        if error is not None:
            assert "\n" not in str(error)
            assert isinstance(error, NoSpaceError) == (code != errno.EIO)
        check(disk.restarted(lambda: False), told)


def run_into_failure(disk: CrashingDisk, script: list[Act], told: Promises) -> WorkerError | None:
    """Play until the disk fails, and see that a failed sync, and no other full disk, is final."""
    try:
        store = open_store(disk)
    except WorkerError as error:
        open_store(disk).close()
        return error
    for index, act in enumerate(script):
        try:
            act(store, told)
        except WorkerError as error:
            final = disk.failed_call.startswith("sync") or disk.fail_code == errno.EIO
            if final:
                with pytest.raises(WorkerError):
                    Publish("y", (0,))(store, Promises())
            else:
                for later in script[index:]:
                    later(store, told)
            store.close()
            return error
    store.close()
    return None
