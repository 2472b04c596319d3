"""One upload: the pack being written, and which of its blobs have arrived and been checked.

A blob may come in pieces, in order; when a stream breaks within a blob, the next one goes on at the
byte reached. Two streams may share an upload but not a blob.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blake3 import blake3

from atoll_worker.errors import CorruptArtifactError
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.disk import Disk, syncing
from atoll_worker.exchange.index import Pin
from atoll_worker.exchange.manifest import Blob, Manifest, ManifestError

MAX_PARTIAL: Final = 4
"""Blobs of one upload that are remembered half received: more streams than that there are not."""


@dataclass
class Progress:
    """How far one blob has come, and the digest of what is there."""

    position_bytes: int = 0
    hasher: blake3 = field(default_factory=blake3)


class BusyError(RuntimeError):
    """Another stream is sending this blob, or the upload has ended: open it again."""


class Upload:
    """An open session. `close` must be called once, by whoever takes it out of the store."""

    def __init__(
        self, ref: str, manifest: Manifest, missing: tuple[Blob, ...], *, idle_since: float
    ) -> None:
        self.ref = ref
        self.manifest = manifest
        self.missing = missing
        self.idle_since = idle_since
        self.head = packs.head(manifest.to_bytes(), missing)
        self.pack_name = packs.name_of(self.head)
        self.spans = packs.spans_of(len(self.head), missing)
        self.pin = Pin(manifest.digest, tuple(blob.digest for blob in manifest.blobs()))
        self._lock = threading.Lock()
        self._file_lock = threading.Lock()  # no write may meet a descriptor that was closed
        self._received: set[str] = set()
        self._claimed: set[str] = set()
        self._partial: dict[str, Progress] = {}
        self._file: tuple[Disk, Path, int] | None = None

    @property
    def opened(self) -> bool:
        """Whether a pack is being written."""
        return self._file is not None

    @property
    def size_bytes(self) -> int:
        """Bytes of the pack."""
        return len(self.head) + sum(blob.size_bytes for blob in self.missing)

    def open(self, disk: Disk, path: Path, descriptor: int) -> None:
        """Take the file that the pack is written to, and write its head.

        Raises:
            OSError: as the disk says; nothing is left behind.
        """
        self._file = (disk, path, descriptor)
        try:
            disk.write(descriptor, self.head, 0)
        except OSError:
            with suppress(OSError):
                self.close()
            raise

    def outstanding(self) -> tuple[Blob, ...]:
        """Blobs that have not arrived, in the order of the manifest."""
        with self._lock:
            return tuple(blob for blob in self.missing if blob.digest not in self._received)

    def reached(self) -> Mapping[str, int]:
        """Bytes that are there of each blob that came only in part.

        Raises:
            BusyError: a stream is sending one now: nobody knows how far that will come.
        """
        with self._lock:
            if self._claimed:
                raise BusyError(f"another stream is sending blobs of {self.ref}")
            return {digest: it.position_bytes for digest, it in self._partial.items()}

    def claim(self, digest: str) -> packs.Span | None:
        """The place of a blob that the caller may now send; None for one that is there already.

        Raises:
            ManifestError: the blob was not asked for.
            BusyError: another stream is sending it.
        """
        if digest not in self.spans:
            raise ManifestError(
                f"blob {digest[:80]!r} was not asked for in the upload of {self.ref}"
            )
        with self._lock:
            if digest in self._received:
                return None
            if digest in self._claimed:
                raise BusyError(f"another stream is sending blob {digest} of {self.ref}")
            self._claimed.add(digest)
        return self.spans[digest]

    def progress(self, digest: str) -> Progress:
        """How far the last stream that sent a claimed blob came."""
        with self._lock:
            return self._partial.pop(digest, None) or Progress()

    def release(self, digest: str, *, received: bool, reached: Progress | None = None) -> None:
        """End a claim, of a blob that is whole or that has come as far as `reached`."""
        with self._lock:
            self._claimed.discard(digest)
            if received:
                self._received.add(digest)
            elif reached is not None and reached.position_bytes:
                self._partial[digest] = reached
                if len(self._partial) > MAX_PARTIAL:
                    del self._partial[next(iter(self._partial))]

    def write(self, content: bytes | memoryview, offset_bytes: int) -> None:
        """Write at an offset of the pack."""
        with self._file_lock:
            disk, _, descriptor = self._opened()
            disk.write(descriptor, content, offset_bytes)

    def keep(self, target: Path) -> None:
        """Give the pack its name, durably; nothing is left to close."""
        with self._file_lock:
            disk, path, descriptor = self._opened()
            with syncing():
                disk.sync(descriptor)
            disk.replace(path, target)
            disk.close(descriptor)
            self._file = None
        with syncing():
            disk.sync_folder(target.parent)

    def close(self) -> None:
        """Throw away a pack that was not kept."""
        with self._file_lock:
            if self._file is None:
                return
            disk, path, descriptor = self._file
            self._file = None
            disk.close(descriptor)
            disk.remove(path)

    def _opened(self) -> tuple[Disk, Path, int]:
        if self._file is None:
            raise BusyError(f"the upload of {self.ref} has ended: open it again")
        return self._file


Writing = Callable[[int], AbstractContextManager[None]]
"""Turns what the disk says of a write of so many bytes into an error of ours."""


class BlobWriter:
    """One stream into an upload; checks each blob against its digest as it arrives."""

    def __init__(self, upload: Upload, writing: Writing) -> None:
        self._upload = upload
        self._writing = writing
        self._digest: str | None = None
        self._span: packs.Span | None = None
        self._progress = Progress()
        self.received_bytes = 0

    def write(self, digest: str, offset_bytes: int, content: bytes | memoryview) -> None:
        """Take the next run of bytes; a blob begun by an earlier stream may start at 0 again.

        Raises:
            ManifestError: a blob that was not asked for, or bytes out of order or too many.
            CorruptArtifactError: the whole blob does not have the digest it is named by.
            BusyError: another stream is sending this blob, or the upload has ended.
            WorkerError: as `writing` makes of what the disk says.
        """
        if digest != self._digest:
            self._start(digest)
            if offset_bytes == 0:
                self._progress = Progress()
        if self._span is None:
            return
        position = self._progress.position_bytes
        if offset_bytes != position or offset_bytes + len(content) > self._span.size_bytes:
            raise ManifestError(
                f"{len(content)} bytes at {offset_bytes} of blob {digest}, "
                f"which has {self._span.size_bytes} and goes on at {position}"
            )
        # The disk's call alone: a caller that times out is no failure of the disk.
        with self._writing(self._upload.size_bytes):
            self._upload.write(content, self._span.offset_bytes + offset_bytes)
        self._progress.hasher.update(content)
        self._progress.position_bytes += len(content)
        self.received_bytes += len(content)
        if self._progress.position_bytes == self._span.size_bytes:
            self._finish(digest)

    def close(self) -> None:
        """Give back the blob that is not whole, if there is one; what came of it is kept."""
        if self._digest is not None and self._span is not None:
            self._upload.release(self._digest, received=False, reached=self._progress)
        self._digest = self._span = None

    def _start(self, digest: str) -> None:
        self.close()
        self._span = self._upload.claim(digest)
        self._digest = digest
        self._progress = self._upload.progress(digest) if self._span else Progress()

    def _finish(self, digest: str) -> None:
        intact = f"blake3:{self._progress.hasher.hexdigest()}" == digest
        self._upload.release(digest, received=intact)
        self._digest = self._span = None
        if not intact:
            raise CorruptArtifactError(
                f"blob {digest} of {self._upload.ref} arrived altered: publish it again"
            )
