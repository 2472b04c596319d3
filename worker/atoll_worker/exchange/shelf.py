"""What the server asks of whatever it serves: a store on disk, or snapshots in memory."""

from collections.abc import Callable, Sequence
from typing import Protocol

from atoll_worker.exchange.content import Pieces, Run
from atoll_worker.exchange.index import Bound


class NotBoundError(LookupError):
    """Nothing is bound to the ref, or its bytes are not here."""


class ChangedError(RuntimeError):
    """The ref is bound to another artifact than the caller read before."""


class Writer(Protocol):
    """One stream into an upload; see `upload.UploadWriter`."""

    def write(self, position: int, content: memoryview) -> None:
        """Take the next run of bytes."""
        ...


class Shelf(Protocol):
    """Artifacts to serve. Called on several threads; each method may block.

    See `store.Store` for what each raises.
    """

    in_memory: bool
    """Whether to read is to copy memory: it waits for no disk."""

    def bindings(self) -> Sequence[Bound]:
        """What is bound now."""
        ...

    def is_here(self, bound: Bound) -> bool:
        """Whether the bytes are here, and not only with their holder; does not block."""
        ...

    def open_upload(
        self, ref: str, content: bytes, readable: Callable[[str], bool]
    ) -> tuple[str, Sequence[Run]]:
        """A session for the artifact with this manifest, and the bytes that are missing."""
        ...

    def ref_of(self, session: str) -> str:
        """The ref that a session uploads."""
        ...

    def writer(self, session: str) -> Writer:
        """Receive the bytes of a session."""
        ...

    def bind(self, session: str, patience_seconds: float) -> tuple[Bound, bool]:
        """Bind the ref of a session, or say how far it is if that takes longer; the binding that stands, and whether it is news."""
        ...

    def hold(self, ref: str, content: bytes) -> tuple[Bound, bool]:
        """Bind a ref to a manifest whose bytes stay elsewhere; as `bind`."""
        ...

    def resolve(self, ref: str) -> tuple[Bound, bytes]:
        """What a ref is bound to, and the manifest's bytes."""
        ...

    def read(self, ref: str, manifest_digest: str, runs: Sequence[Run]) -> Pieces:
        """Bytes, in the order of the runs; what is read stays until the iterator is closed."""
        ...

    def received_bytes(self, ref: str) -> int:
        """How much of the content of a ref has come by now, in uploads that go on."""
        ...

    def drop(self, refs: Sequence[str]) -> Sequence[str]:
        """Unbind refs; those that were bound."""
        ...
