"""One upload: the pack being written, and how much of it has arrived and been checked.

The bytes come in order. When a stream breaks, the next one goes on at the byte reached and takes the
upload over: whatever the old one still sends is refused.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from blake3 import blake3

from atoll_worker.errors import CorruptArtifactError
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.content import (
    PIECE_BYTES,
    AlteredError,
    Blob,
    ContentError,
    Passage,
    Run,
)
from atoll_worker.exchange.disk import Disk, syncing
from atoll_worker.exchange.index import Pin
from atoll_worker.exchange.manifest import Manifest, ManifestError
from atoll_worker.exchange.pack import Pack


class BusyError(RuntimeError):
    """Another stream took the upload over, or it has ended: open it again."""


class LaterError(BusyError):
    """It can be done, but not yet: ask again."""


class WritingError(LaterError):
    """The pack is still being written where it is kept; ask again."""

    def __init__(self, ref: str, place: str, written_bytes: int, size_bytes: int) -> None:
        super().__init__(
            f"{ref} is being written to {place}: {written_bytes} of {size_bytes} bytes; ask again"
        )
        self.written_bytes = written_bytes
        """Handed over so far; more than at the last time says that it goes on."""


class Upload:
    """An open session. `close` must be called once, by whoever takes it out of the store."""

    def __init__(
        self, ref: str, manifest: Manifest, missing: Sequence[bool], *, idle_since: float
    ) -> None:
        """Begin with nothing.

        Args:
            ref: What is to be bound.
            manifest: To what.
            missing: For each blob of the manifest's content, whether it has to come.
            idle_since: By the store's clock.
        """
        self.ref = ref
        self.manifest = manifest
        self.idle_since = idle_since
        content = manifest.content
        self.missing: tuple[Blob, ...] = tuple(
            blob for blob, is_missing in zip(content.blobs, missing, strict=True) if is_missing
        )
        self.head = packs.head(manifest.to_bytes(), self.missing)
        self.pack_name = packs.name_of(self.head)
        self.pin = Pin(manifest.digest, content)
        self._lock = threading.Lock()  # no write may meet a descriptor that was closed
        self._passage = Passage(content, content.runs(missing))
        self._stream = 0
        self._file: tuple[Disk, Path, int] | None = None
        self._is_moving = False
        self._ended = False
        self.written_bytes = 0
        """Of the pack, on its way to where it is kept."""
        self.kept = False
        """Whether the pack has its name: what it brought is news, also of a ref that was held."""
        self.keeping: Future[None] | None = None
        """The call of `keep` that nobody has heard the end of; guarded by the store."""

    @property
    def opened(self) -> bool:
        """Whether a pack is being written."""
        return self._file is not None

    @property
    def size_bytes(self) -> int:
        """Bytes of the pack."""
        return len(self.head) + sum(blob.size_bytes for blob in self.missing)

    def open(self, disk: Disk, path: Path, descriptor: int, goes_on: bool = False) -> None:  # noqa: FBT001, FBT002 - of a tuple
        """Take the file that the pack is written to, and write its head.

        Where the upload goes on, what is in the file as far as its digests say has been received.

        Raises:
            OSError: as the disk says; nothing is left behind.
        """
        self._file = (disk, path, descriptor)
        try:
            if goes_on and disk.read(path, 0, len(self.head)) == self.head:
                self._find_again(disk, path)
            else:
                disk.write(descriptor, self.head, 0)
        except OSError:
            with suppress(OSError):
                self.close()
            raise

    @property
    def received_bytes(self) -> int:
        """Bytes of the content that have arrived."""
        with self._lock:
            return self._passage.passed_bytes

    def remaining(self) -> list[Run]:
        """The bytes of the content that have not arrived."""
        with self._lock:
            return self._passage.remaining()

    def take_over(self) -> int:
        """Names the one stream that may write from now on."""
        with self._lock:
            self._stream += 1
            return self._stream

    def write(self, stream: int, position: int, content: memoryview) -> None:
        """Take the next bytes of the content.

        Raises:
            OSError: as the disk says.
            BusyError: another stream took over, or the upload has ended.
            ManifestError: they are not the next bytes.
            CorruptArtifactError: a whole blob does not have the digest it is named by.
        """
        with self._lock:
            disk, _, descriptor = self._opened()
            if stream != self._stream:
                raise BusyError(f"another stream sends {self.ref} now")
            try:
                self._passage.expect(position, len(content))
            except ContentError as error:
                raise ManifestError(f"the upload of {self.ref} was sent {error}") from error
            disk.write(descriptor, content, len(self.head) + self._passage.passed_bytes)
            try:
                self._passage.take(content)
            except AlteredError as error:
                raise CorruptArtifactError(
                    f"blob {error} of {self.ref} arrived altered: publish it again"
                ) from error

    def keep(self, target: Path) -> Pack:
        """Give the pack its name, durably; nothing is left to close.

        May take minutes, in which the upload may be asked how far it is, and may be closed.

        Raises:
            OSError: as the disk says; it may be tried again.
            BusyError: the upload was closed.
        """
        with self._lock:
            disk, path, descriptor = self._opened()
            self._is_moving = True
        try:
            with syncing():
                disk.sync(descriptor)
            disk.keep(path, target, self._moved)
        except BaseException:
            self._stop_moving()
            raise
        with self._lock:
            self._file, self._is_moving, self.kept = None, False, True
        disk.close(descriptor)
        with syncing():
            disk.sync_folder(target.parent)
        return packs.of(self.head, self.manifest, self.missing)

    def close(self) -> None:
        """Throw away a pack that was not kept, or that `keep` is at work on, as soon as it can."""
        with self._lock:
            self._ended = True
            if self._file is None or self._is_moving:
                return
            disk, path, descriptor = self._file
            self._file = None
            disk.close(descriptor)
            disk.remove(path)

    def _moved(self, written_bytes: int) -> None:
        if self._ended:
            raise BusyError(f"the upload of {self.ref} has ended: open it again")
        self.written_bytes = written_bytes

    def _stop_moving(self) -> None:
        with self._lock:
            self._is_moving = False
            self.written_bytes = 0
            ended = self._ended
        if ended:
            with suppress(OSError):  # cleared at the next start
                self.close()

    def _opened(self) -> tuple[Disk, Path, int]:
        if self._file is None:
            raise BusyError(f"the upload of {self.ref} has ended: open it again")
        return self._file

    def _find_again(self, disk: Disk, path: Path) -> None:
        """Pass by what the file has of the blobs, up to the first that is not whole."""
        for blob in self.missing:
            hasher, offset = blake3(), len(self.head) + self._passage.passed_bytes
            for at in range(0, blob.size_bytes, PIECE_BYTES):
                size = min(PIECE_BYTES, blob.size_bytes - at)
                hasher.update(disk.read(path, offset + at, size))
            if f"blake3:{hasher.hexdigest()}" != blob.digest:
                return
            self._passage.skip(blob.size_bytes)


Writing = Callable[[int], AbstractContextManager[None]]
"""Turns what the disk says of a write of so many bytes into an error of ours."""


class UploadWriter:
    """One stream into an upload, until another takes it over."""

    def __init__(self, upload: Upload, writing: Writing, clock: Callable[[], float]) -> None:
        self._upload = upload
        self._writing = writing
        self._clock = clock
        self._stream = upload.take_over()

    def write(self, position: int, content: memoryview) -> None:
        """See `Upload.write`.

        Raises:
            WorkerError: as `writing` makes of what the disk says.
        """
        with self._writing(self._upload.size_bytes):
            self._upload.write(self._stream, position, content)
        self._upload.idle_since = self._clock()
