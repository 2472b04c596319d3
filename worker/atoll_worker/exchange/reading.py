"""Content out of packs: each blob is checked on the way, and one that is damaged is forgotten."""

from contextlib import AbstractContextManager

from atoll_worker.errors import CorruptArtifactError
from atoll_worker.exchange.content import (
    PIECE_BYTES,
    AlteredError,
    Content,
    Passage,
    Pieces,
    Run,
)
from atoll_worker.exchange.disk import Disk, RemoteError
from atoll_worker.exchange.folder import Folder
from atoll_worker.exchange.index import Bound, Index


class Reader:
    """Reads what an index says the packs of a folder hold. Safe to use from several threads."""

    def __init__(
        self, files: Folder, disk: Disk, index: Index, lock: AbstractContextManager[object]
    ) -> None:
        self._files = files
        self._disk = disk
        self._index = index
        self._lock = lock

    def pieces(self, bound: Bound, run: Run) -> Pieces:
        """Read whole blobs, for the sake of their digests, and leave out what was not asked for.

        Raises:
            CorruptArtifactError: a blob is lost or was altered, known at its end at the latest.
            UnavailableError: what holds the packs does not answer.
            FinalError: it refuses this hub.
        """
        content = bound.content
        first = content.starts[content.index_at(run.begin)]
        passage = Passage(content, [Run(first, run.end)])
        while not passage.done:
            position = passage.position
            name, offset, size = self._extent(bound.ref, content, Run(position, run.end))
            read = memoryview(self.read(name, offset, size))
            for at in range(0, len(read), PIECE_BYTES):
                piece = read[at : at + PIECE_BYTES]
                try:
                    passage.take(piece)
                except AlteredError as error:
                    raise self._damaged(bound.ref, name, str(error)) from None
                skipped = max(0, run.begin - position - at)
                if skipped < len(piece):
                    yield position + at + skipped, [piece[skipped:]]
            if len(read) < size:
                blob = content.blobs[content.index_at(position + len(read))]
                raise self._damaged(bound.ref, name, blob.digest)

    def read(self, name: str, offset_bytes: int, size_bytes: int) -> bytes:
        """Bytes of a pack, or as many as there are.

        Raises:
            UnavailableError: what holds it does not answer.
            FinalError: it refuses this hub.
        """
        try:
            return self._disk.read(self._files.packs / name, offset_bytes, size_bytes)
        except RemoteError:
            with self._files.writing(0):
                raise
        except OSError:
            return b""  # a file that cannot be read is as good as one that is cut

    def corrupt(self, ref: str, part: str) -> CorruptArtifactError:
        """What to say of a ref that lacks a part."""
        return CorruptArtifactError(
            f"{ref} cannot be read: its {part} in {self._disk.place(self._files.path)} is lost or "
            f"was altered; remove {self._disk.place(self._files.ref_path(ref))} and run again"
        )

    def _extent(self, ref: str, content: Content, run: Run) -> tuple[str, int, int]:
        """(pack, offset, bytes) to read next: blobs that lie in a row are read as one."""
        index = content.index_at(run.begin)
        with self._lock:
            place = self._index.blob(content.blobs[index].digest)
            if place is None:
                raise self.corrupt(ref, f"blob {content.blobs[index].digest}")
            name, span = place
            begin = span.offset_bytes + run.begin - content.starts[index]
            end = span.offset_bytes + span.size_bytes
            limit = begin + min(self._disk.read_bytes, run.end - run.begin)
            while end < limit:
                index += 1
                following = self._index.blob(content.blobs[index].digest)
                if following is None or (following[0], following[1].offset_bytes) != (name, end):
                    break
                end += following[1].size_bytes
        return name, begin, min(end, limit) - begin

    def _damaged(self, ref: str, name: str, digest: str) -> CorruptArtifactError:
        with self._lock:
            self._index.damaged(name, digest)
        return self.corrupt(ref, f"blob {digest}")
