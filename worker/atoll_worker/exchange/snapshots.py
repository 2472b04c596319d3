"""Artifacts that a process keeps in memory for others to read: what an island serves. No copy.

Nobody uploads here: who wants an artifact kept publishes it to the hub. No torch, no numpy.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from atoll_worker.errors import RejectedError
from atoll_worker.exchange.frames import PIECE_BYTES
from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.manifest import Blob, Manifest, ManifestError
from atoll_worker.exchange.store import ChangedError, NotBoundError, Pieces, Range

_READ_ONLY: Final = "this process takes no artifacts: publish to the hub"


class Snapshots:
    """A `shelf.Shelf` to read from. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Bound, Manifest, Mapping[str, memoryview]]] = {}

    def offer(self, ref: str, manifest: Manifest, blobs: Mapping[str, memoryview]) -> Bound:
        """Serve an artifact under a ref until it is dropped; its memory must not change."""
        digests = tuple(blob.digest for blob in manifest.blobs())
        bound = Bound(ref, manifest.digest, manifest.size_bytes, manifest.parents, digests)
        with self._lock:
            self._held[ref] = (bound, manifest, blobs)
        return bound

    def bindings(self) -> Sequence[Bound]:
        """See `Shelf.bindings`."""
        with self._lock:
            return [bound for bound, _, _ in self._held.values()]

    def resolve(self, ref: str) -> tuple[Bound, bytes]:
        """See `Shelf.resolve`."""
        bound, manifest, _ = self._find(ref)
        return bound, manifest.to_bytes()

    def read(self, ref: str, manifest_digest: str, ranges: Sequence[Range]) -> Pieces:
        """See `Shelf.read`."""
        bound, _, blobs = self._find(ref)
        if bound.digest != manifest_digest:
            raise ChangedError(f"{ref} is bound to {bound.digest} now: resolve it again")
        for wanted in ranges:
            blob = blobs.get(wanted.digest)
            if blob is None:
                raise ManifestError(f"{ref} has no blob {wanted.digest[:80]!r}")
            if not 0 <= wanted.offset_bytes <= len(blob):
                raise ManifestError(f"blob {wanted.digest} ends at {len(blob)}")
            for start in range(wanted.offset_bytes, len(blob), PIECE_BYTES):
                yield wanted.digest, start, blob[start : start + PIECE_BYTES]

    def drop(self, refs: Sequence[str]) -> Sequence[str]:
        """See `Shelf.drop`."""
        with self._lock:
            return [ref for ref in refs if self._held.pop(ref, None) is not None]

    def open_upload(
        self, ref: str, content: bytes, readable: Callable[[str], bool]
    ) -> tuple[str, Sequence[Blob]]:
        """Refused."""
        del ref, content, readable
        raise RejectedError(_READ_ONLY)

    def ref_of(self, session: str) -> NoReturn:
        """Refused: there is no session."""
        del session
        raise RejectedError(_READ_ONLY)

    reached = writer = bind = ref_of

    def _find(self, ref: str) -> tuple[Bound, Manifest, Mapping[str, memoryview]]:
        with self._lock:
            held = self._held.get(ref)
        if held is None:
            raise NotBoundError(f"nothing is bound to {ref}: publish it first")
        return held
