"""What a store holds, in memory: packs, where each blob is, what is bound. No I/O, no lock."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from atoll_worker.exchange.content import Content
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.pack import Pack, Span

NOTHING = Content(())


@dataclass(frozen=True)
class Bound:
    """What a ref is bound to, and the blobs that it keeps alive."""

    ref: str
    digest: str
    size_bytes: int = 0
    parents: tuple[str, ...] = ()
    content: Content = field(default=NOTHING, compare=False)
    intact: bool = False
    """Whether its manifest could be read; if not, nobody knows which blobs it needs."""

    @classmethod
    def to(cls, ref: str, manifest: Manifest) -> "Bound":
        """A ref that is bound to this manifest."""
        digest, size_bytes = manifest.digest, manifest.size_bytes
        return cls(ref, digest, size_bytes, manifest.parents, manifest.content, intact=True)


@dataclass(frozen=True)
class Pin:
    """What must stay although no ref may hold it: an upload in progress, or a reader."""

    manifest_digest: str
    content: Content


class Index:
    """Packs, blobs and refs."""

    def __init__(self) -> None:
        self.packs: dict[str, Pack] = {}
        self.refs: dict[str, Bound] = {}
        self._blob_packs: dict[str, list[str]] = defaultdict(list)
        self._manifest_packs: dict[str, list[str]] = defaultdict(list)

    def add(self, pack: Pack) -> None:
        """Take note of a pack, in place of one of the same name."""
        self.remove(pack.name)
        self.packs[pack.name] = pack
        self._manifest_packs[pack.manifest_digest].append(pack.name)
        for digest in pack.blobs:
            self._blob_packs[digest].append(pack.name)

    def remove(self, name: str) -> None:
        """Forget a pack."""
        pack = self.packs.pop(name, None)
        if pack is None:
            return
        _discard(self._manifest_packs, pack.manifest_digest, name)
        for digest in pack.blobs:
            _discard(self._blob_packs, digest, name)

    def damaged(self, name: str, digest: str) -> None:
        """Forget one blob, or the manifest, of a pack: the bytes are not what they should be."""
        pack = self.packs.get(name)
        if pack is not None and pack.blobs.pop(digest, None) is not None:
            _discard(self._blob_packs, digest, name)
        elif pack is not None and pack.manifest_digest == digest:
            _discard(self._manifest_packs, digest, name)

    @property
    def size_bytes(self) -> int:
        """Bytes of all packs."""
        return sum(pack.size_bytes for pack in self.packs.values())

    def blob(self, digest: str) -> tuple[str, Span] | None:
        """The pack, and the place in it, of a blob."""
        names = self._blob_packs.get(digest)
        return (names[0], self.packs[names[0]].blobs[digest]) if names else None

    def manifest(self, digest: str) -> tuple[str, Span] | None:
        """The pack, and the place in it, of a manifest."""
        names = self._manifest_packs.get(digest)
        return (names[0], self.packs[names[0]].manifest) if names else None

    def is_here(self, digest: str) -> bool:
        """Whether the artifact of this manifest was published here, and not only held elsewhere."""
        return any(not self.packs[name].held for name in self._manifest_packs.get(digest, ()))

    def present(self, content: Content, readable: Callable[[str], bool]) -> set[str]:
        """Those of the blobs that a ref leads to, of refs that the caller may read."""
        stored = {digest for digest, _ in content.blobs if digest in self._blob_packs}
        found: set[str] = set()
        for bound in reversed(self.refs.values()):  # the newest have most in common
            if len(found) == len(stored):
                break
            if readable(bound.ref):
                found.update(digest for digest, _ in bound.content.blobs if digest in stored)
        return found

    def bind(self, ref: str, manifest: Manifest) -> Bound:
        """Take note of a binding."""
        self.refs[ref] = bound = Bound.to(ref, manifest)
        return bound

    def unreachable(self, pins: Iterable[Pin]) -> tuple[str, ...]:
        """Names of packs that neither a ref nor a pin needs."""
        needed: set[str] = set()
        bound = [Pin(bound.digest, bound.content) for bound in self.refs.values()]
        for pin in (*bound, *pins):
            names = self._manifest_packs.get(pin.manifest_digest, ())
            needed.update(sorted(names, key=lambda name: self.packs[name].held)[:1])
            for digest, _ in pin.content.blobs:
                needed.update(self._blob_packs.get(digest, ())[:1])
        return tuple(name for name in self.packs if name not in needed)


def _discard(packs: dict[str, list[str]], digest: str, name: str) -> None:
    packs[digest].remove(name)
    if not packs[digest]:
        del packs[digest]
