"""Artifacts that a process keeps in memory for others to read: what an island serves. No copy.

Nobody uploads here: who wants an artifact kept publishes it to the hub. No torch, no numpy.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from atoll_worker.errors import RejectedError
from atoll_worker.exchange.content import Pieces, Run
from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.shelf import ChangedError, NotBoundError

_READ_ONLY: Final = "this process takes no artifacts: publish to the hub"


class Snapshots:
    """A `shelf.Shelf` to read from. Safe to use from several threads."""

    in_memory = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offered: dict[str, tuple[Bound, Manifest, Sequence[memoryview]]] = {}

    def offer(self, ref: str, manifest: Manifest, blobs: Sequence[memoryview]) -> Bound:
        """Serve an artifact under a ref until it is dropped; its memory must not change."""
        bound = Bound.to(ref, manifest)
        with self._lock:
            self._offered[ref] = (bound, manifest, blobs)
        return bound

    def bindings(self) -> Sequence[Bound]:
        """See `Shelf.bindings`."""
        with self._lock:
            return [bound for bound, _, _ in self._offered.values()]

    def is_here(self, bound: Bound) -> bool:
        """See `Shelf.is_here`."""
        with self._lock:
            return bound.ref in self._offered

    def resolve(self, ref: str) -> tuple[Bound, bytes]:
        """See `Shelf.resolve`."""
        bound, manifest, _ = self._find(ref)
        return bound, manifest.to_bytes()

    def read(self, ref: str, manifest_digest: str, runs: Sequence[Run]) -> Pieces:
        """See `Shelf.read`."""
        bound, _, blobs = self._find(ref)
        if bound.digest != manifest_digest:
            raise ChangedError(f"{ref} is bound to {bound.digest} now: resolve it again")
        bound.content.check(runs)
        yield from bound.content.pieces(blobs, runs)

    def received_bytes(self, ref: str) -> int:
        """None: nobody uploads here."""
        del ref
        return 0

    def drop(self, refs: Sequence[str]) -> Sequence[str]:
        """See `Shelf.drop`."""
        with self._lock:
            return [ref for ref in refs if self._offered.pop(ref, None) is not None]

    def open_upload(
        self, ref: str, content: bytes, readable: Callable[[str], bool]
    ) -> tuple[str, Sequence[Run]]:
        """Refused."""
        del ref, content, readable
        raise RejectedError(_READ_ONLY)

    def hold(self, ref: str, content: bytes) -> tuple[Bound, bool]:
        """Refused."""
        del ref, content
        raise RejectedError(_READ_ONLY)

    def ref_of(self, session: str) -> NoReturn:
        """Refused: there is no session."""
        del session
        raise RejectedError(_READ_ONLY)

    def bind(self, session: str, patience_seconds: float) -> NoReturn:
        """Refused: there is no session."""
        del patience_seconds
        self.ref_of(session)

    writer = ref_of

    def _find(self, ref: str) -> tuple[Bound, Manifest, Sequence[memoryview]]:
        with self._lock:
            offered = self._offered.get(ref)
        if offered is None:
            raise NotBoundError(f"nothing is bound to {ref}: publish it first")
        return offered
