"""What the server asks of whatever it serves: a store on disk, or snapshots in memory."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from atoll_worker.exchange.index import Bound
from atoll_worker.exchange.manifest import Blob
from atoll_worker.exchange.store import Pieces, Range


class Writer(Protocol):
    """One stream into an upload; see `upload.BlobWriter`."""

    def write(self, digest: str, offset_bytes: int, content: bytes | memoryview) -> None:
        """Take the next run of bytes."""
        ...


class Shelf(Protocol):
    """Artifacts to serve. Called on several threads; each method may block.

    See `store.Store` for what each raises.
    """

    def bindings(self) -> Sequence[Bound]:
        """What is bound now."""
        ...

    def open_upload(
        self, ref: str, content: bytes, readable: Callable[[str], bool]
    ) -> tuple[str, Sequence[Blob]]:
        """A session for the artifact with this manifest, and the blobs that are missing."""
        ...

    def ref_of(self, session: str) -> str:
        """The ref that a session uploads."""
        ...

    def reached(self, session: str) -> Mapping[str, int]:
        """Bytes that are there of each blob of a session that came only in part."""
        ...

    def writer(self, session: str) -> AbstractContextManager[Writer]:
        """Receive blobs of a session."""
        ...

    def bind(self, session: str) -> tuple[Bound, bool]:
        """Bind the ref of a session; the binding that stands, and whether it is new."""
        ...

    def resolve(self, ref: str) -> tuple[Bound, bytes]:
        """What a ref is bound to, and the manifest's bytes."""
        ...

    def read(self, ref: str, manifest_digest: str, ranges: Sequence[Range]) -> Pieces:
        """Blobs, in the order of the ranges; what is read stays until the end."""
        ...

    def drop(self, refs: Sequence[str]) -> Sequence[str]:
        """Unbind refs; those that were bound."""
        ...
