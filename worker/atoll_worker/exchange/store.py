"""The artifact store on disk: what is bound survives a crash at any moment, whole.

Its files are those of `folder`. Packs that no ref and nobody at work needs are overwritten or removed; a
pack stays as long as one of its blobs is needed, so a store holds at most what was written to it.
No torch, no numpy. Safe to use from several threads.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from atoll_worker.errors import CorruptArtifactError, QuotaError, WorkerError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.disk import AwayError, Disk, LocalDisk, TakenError, syncing
from atoll_worker.exchange.folder import Folder
from atoll_worker.exchange.index import Bound, Index, Pin
from atoll_worker.exchange.manifest import Blob, Manifest, digest_of
from atoll_worker.exchange.spares import SpareSizes
from atoll_worker.exchange.upload import BlobWriter, BusyError, Upload

PIECE_BYTES = 1024 * 1024
Pieces = Generator[tuple[str, int, bytes | memoryview], None, None]
"""(digest, offset, content) of blobs."""


class NotBoundError(LookupError):
    """Nothing is bound to the ref."""


class ChangedError(RuntimeError):
    """The ref is bound to another artifact than the caller read before."""


@dataclass(frozen=True)
class Limits:
    """How many bytes a store may take."""

    quota_bytes: int | None = None
    """Packs, and uploads that are open; None: what the disk holds."""
    spares: SpareSizes = field(default_factory=SpareSizes)


@dataclass(frozen=True)
class Range:
    """From where to read one blob."""

    digest: str
    offset_bytes: int = 0


class Store:
    """One folder of artifacts.

    Raises:
        InUseError: another process uses the folder.
        NoSpaceError: the folder cannot be written.
        FinalError: the folder holds a store of another version.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        limits: Limits | None = None,
    ) -> None:
        self.folder = folder
        self._disk = disk or LocalDisk()
        self._clock = clock
        self._lock = threading.RLock()  # the index, the uploads and the pins
        self._bind_lock = threading.Lock()  # one binding at a time: disk work outside `_lock`
        self._index = Index()
        self._uploads: dict[str, Upload] = {}
        self._readers: dict[int, Pin] = {}
        self._count = itertools.count()
        self._garbage = False  # whether a pack may have lost its last holder
        self._limits = limits or Limits()
        self._files = Folder(folder, self._disk, self._limits.spares)
        try:
            with self._files.writing(0):
                self._load()
            self._garbage = True
            self._collect()
        except BaseException:
            self._files.release()
            raise

    def close(self) -> None:
        """End every upload and let go of the folder; again is no harm."""
        with self._bind_lock, self._lock:
            for session in tuple(self._uploads):
                self._end(session)
            self._files.release()

    def bindings(self) -> tuple[Bound, ...]:
        """What is bound now."""
        with self._lock:
            return tuple(self._index.refs.values())

    def open_upload(
        self, ref: str, content: bytes, readable: Callable[[str], bool] = lambda _: True
    ) -> tuple[str, tuple[Blob, ...]]:
        """A session for the artifact with this manifest, and the blobs that are missing.

        The same ref and manifest again give the same session, with what is still missing.
        Nothing is missing for a ref that is bound already: `bind` will say to what.
        A blob is there only for who may read it through a ref, by `readable`: whoever learnt a
        digest elsewhere has to bring the bytes.

        Raises:
            ManifestError: the ref or the manifest is refused.
            NoSpaceError: the disk, or the quota, cannot hold the missing blobs.
        """
        manifest = manifests.parse(content)
        session = digest_of(f"{manifests.check_ref(ref)} {manifest.digest}".encode())
        with self._lock:
            self._files.check()
            upload = self._uploads.get(session)
            if upload is None or not self._holds(upload):
                upload = self._start_upload(session, ref, manifest, readable)
            upload.idle_since = self._clock()
            return session, () if ref in self._index.refs else upload.outstanding()

    def ref_of(self, session: str) -> str:
        """The ref that a session is to bind.

        Raises:
            BusyError: there is no such session (any more).
        """
        return self._upload(session).ref

    def reached(self, session: str) -> Mapping[str, int]:
        """Bytes that are there of each blob of a session that came only in part.

        Raises:
            BusyError: there is no such session (any more), or a stream is sending to it.
        """
        return self._upload(session).reached()

    @contextmanager
    def writer(self, session: str) -> Iterator[BlobWriter]:
        """Receive blobs of a session.

        Raises:
            BusyError: there is no such session (any more).
            NoSpaceError: the disk is full; and what `BlobWriter.write` raises.
        """
        upload = self._upload(session)
        writer = BlobWriter(upload, self._files.writing)
        try:
            yield writer
        finally:
            writer.close()
            upload.idle_since = self._clock()

    def bind(self, session: str) -> tuple[Bound, bool]:
        """Bind the ref of a session, durably; the binding that stands, and whether it is new.

        Raises:
            BusyError: there is no such session, or what it counted on is gone: open it again.
            NoSpaceError: the disk is full.
        """
        with self._bind_lock:
            upload = self._upload(session)
            with self._lock:
                self._files.check()
                standing = self._index.refs.get(upload.ref)
                if standing is not None:
                    self._end(session)
                    return standing, False
                if upload.outstanding() or not self._holds(upload):
                    count = len(upload.outstanding())
                    raise BusyError(f"{upload.ref} still lacks {count} blobs: open it again")
            try:
                bound, new = self._bind(upload), True
            except TakenError:
                bound, new = self._adopt(upload.ref), False
            with self._lock:
                self._end(session)
            return bound, new

    def resolve(self, ref: str) -> tuple[Bound, bytes]:
        """What a ref is bound to, and the manifest's bytes.

        Raises:
            NotBoundError: nothing is bound to it.
            CorruptArtifactError: the manifest is lost or was altered.
        """
        with self._reading(ref) as bound:
            with self._lock:
                place = self._index.manifest(bound.digest)
            if place is not None:
                name, span = place
                content = self._read(name, span.offset_bytes, span.size_bytes)
                if digest_of(content) == bound.digest:
                    return bound, content
                self._damaged(name, bound.digest)
            raise self._corrupt(ref, f"manifest {bound.digest}")

    def read(self, ref: str, manifest_digest: str, ranges: Sequence[Range]) -> Pieces:
        """(blob digest, offset, at most 1 MiB) in order; what is read stays until the end.

        Raises:
            NotBoundError: nothing is bound to the ref.
            ChangedError: the ref is bound to another artifact.
            ManifestError: a blob that the artifact does not have, or an offset beyond its end.
            CorruptArtifactError: a blob is lost or was altered, known at its end at the latest.
        """
        with self._reading(ref) as bound:
            if bound.digest != manifest_digest:
                raise ChangedError(f"{ref} is bound to {bound.digest} now: resolve it again")
            known = set(bound.blobs)
            for wanted in ranges:
                if wanted.digest not in known:
                    raise manifests.ManifestError(f"{ref} has no blob {wanted.digest[:80]!r}")
                yield from self._read_blob(ref, wanted)

    def drop(self, refs: Sequence[str]) -> tuple[str, ...]:
        """Unbind refs, durably, and reclaim what nobody needs; the refs that were bound."""
        with self._bind_lock, self._lock:
            dropped = tuple(ref for ref in refs if ref in self._index.refs)
            with self._files.writing(0):
                for ref in dropped:
                    self._disk.remove(self._ref_path(ref))
                if dropped:
                    with syncing():
                        self._disk.sync_folder(self._files.refs)
            for ref in dropped:
                del self._index.refs[ref]
                self._garbage = True
            self._collect()
            return dropped

    def expire(self, idle_seconds: float) -> None:
        """End uploads that nobody touched for so long."""
        with self._bind_lock, self._lock:
            now = self._clock()
            for session, upload in list(self._uploads.items()):
                if now - upload.idle_since >= idle_seconds:
                    self._end(session)
                    self._garbage = True
            self._collect()

    def write_file(self, name: str, content: bytes) -> None:
        """Replace a small file of the folder in one step.

        Raises:
            NoSpaceError: the disk is full.
        """
        with self._files.writing(len(content)):
            self._files.write(self.folder / name, content)

    def read_file(self, name: str) -> bytes | None:
        """A small file of the folder; None if there is none.

        Raises:
            WorkerError: the disk failed.
        """
        with self._files.writing(0):
            if name not in self._disk.names(self.folder):
                return None
            return self._disk.read(self.folder / name, 0, self._disk.size(self.folder / name))

    @contextmanager
    def _reading(self, ref: str) -> Iterator[Bound]:
        """Keep what a ref is bound to until the end, also if it is dropped meanwhile."""
        with self._lock:
            bound = self._bound(ref)
            reader = next(self._count)
            self._readers[reader] = Pin(bound.digest, bound.blobs)
        try:
            yield bound
        finally:
            with self._lock:
                del self._readers[reader]
                with suppress(WorkerError):  # the reader has what it asked for
                    self._collect()  # what was dropped while it was read

    def _load(self) -> None:
        for name in self._disk.names(self._files.packs):
            pack = self._load_pack(self._files.packs / name)
            if pack is not None:
                self._index.add(pack)
        for name in self._disk.names(self._files.refs):
            self._load_ref(self._files.refs / name)

    def _load_pack(self, path: Path) -> packs.Pack | None:
        try:
            length = packs.head_bytes(self._disk.read(path, 0, packs.PREFIX.size))
            head = self._disk.read(path, 0, length)
            return packs.read_head(path.name, head, self._disk.size(path))
        except AwayError:
            raise
        except (ValueError, OSError):
            return None  # whoever reads a ref that needs it is told

    def _load_ref(self, path: Path) -> None:
        try:
            document = json.loads(self._disk.read(path, 0, PIECE_BYTES))
            ref = manifests.check_ref(str(document["ref"]))
            digest = manifests.check_digest(str(document["digest"]))
        except (ValueError, KeyError, TypeError):
            raise CorruptArtifactError(
                f"{path} was altered: remove it, and the step that made the artifact runs again"
            ) from None
        self._index.refs[ref] = Bound(ref, digest)
        try:
            _, content = self.resolve(ref)
        except CorruptArtifactError:
            return  # whoever reads it is told
        self._index.bind(ref, manifests.parse(content))

    def _start_upload(
        self, session: str, ref: str, manifest: Manifest, readable: Callable[[str], bool]
    ) -> Upload:
        self._end(session)
        bound = ref in self._index.refs
        there = self._index.present((blob.digest for blob in manifest.blobs()), readable)
        lacking = (blob for blob in manifest.blobs() if blob.digest not in there)
        upload = Upload(ref, manifest, () if bound else tuple(lacking), idle_since=self._clock())
        if not bound and (upload.missing or self._index.manifest(manifest.digest) is None):
            self._check_quota(ref, upload.size_bytes)
            with self._files.writing(upload.size_bytes):
                upload.open(self._disk, *self._files.open_part(upload.size_bytes))
        self._uploads[session] = upload
        return upload

    def _check_quota(self, ref: str, size_bytes: int) -> None:
        quota_bytes = self._limits.quota_bytes
        if quota_bytes is None:
            return
        open_bytes = sum(it.size_bytes for it in self._uploads.values() if it.opened)
        rest_bytes = quota_bytes - self._index.size_bytes - open_bytes - size_bytes
        if rest_bytes < 0:
            raise QuotaError(
                f"{ref} needs {size_bytes} bytes, {max(0, rest_bytes + size_bytes)} of the job's "
                f"quota of {quota_bytes} are left: keep fewer artifacts, or raise the quota"
            )
        with self._files.writing(0):
            self._files.spares.shrink(rest_bytes)

    def _bind(self, upload: Upload) -> Bound:
        target = self._files.packs / upload.pack_name
        if upload.opened:
            with self._files.writing(upload.size_bytes):
                upload.keep(target)
            pack = packs.read_head(target.name, upload.head, upload.size_bytes)
            with self._lock:
                self._index.add(pack)
        document = json.dumps({"ref": upload.ref, "digest": upload.manifest.digest})
        with self._files.writing(len(document)):
            self._files.write(self._ref_path(upload.ref), document.encode())
        with self._lock:
            return self._index.bind(upload.ref, upload.manifest)

    def _adopt(self, ref: str) -> Bound:
        """Take note of a binding that another hub of the same bucket made first."""
        with self._lock, self._files.writing(0):
            for name in self._disk.names(self._files.packs):
                pack = (
                    None if name in self._index.packs else self._load_pack(self._files.packs / name)
                )
                if pack is not None:
                    self._index.add(pack)
            self._load_ref(self._ref_path(ref))
            self._garbage = True
            return self._index.refs[ref]

    def _holds(self, upload: Upload) -> bool:
        """Whether all that an upload counts on, and does not bring, is still there."""
        brought = {blob.digest for blob in upload.missing}
        counted_on = (digest for digest in upload.pin.blobs if digest not in brought)
        if upload.ref in self._index.refs:
            return True
        if not upload.opened and self._index.manifest(upload.manifest.digest) is None:
            return False
        return all(self._index.blob(digest) is not None for digest in counted_on)

    def _upload(self, session: str) -> Upload:
        with self._lock:
            if session not in self._uploads:
                raise BusyError("the upload has ended: open it again")
            upload = self._uploads[session]
            upload.idle_since = self._clock()
            return upload

    def _end(self, session: str) -> None:
        upload = self._uploads.pop(session, None)
        if upload is not None:
            with suppress(OSError):  # cleared at the next start
                upload.close()

    def _bound(self, ref: str) -> Bound:
        bound = self._index.refs.get(manifests.check_ref(ref))
        if bound is None:
            raise NotBoundError(f"nothing is bound to {ref}: publish it first")
        return bound

    def _read_blob(self, ref: str, wanted: Range) -> Pieces:
        with self._lock:
            place = self._index.blob(wanted.digest)
        if place is None:
            raise self._corrupt(ref, f"blob {wanted.digest}")
        name, span = place
        if not 0 <= wanted.offset_bytes <= span.size_bytes:
            raise manifests.ManifestError(f"blob {wanted.digest} ends at {span.size_bytes}")
        hasher = blake3()
        for position in range(0, span.size_bytes, PIECE_BYTES):
            size = min(PIECE_BYTES, span.size_bytes - position)
            content = self._read(name, span.offset_bytes + position, size)
            hasher.update(content)
            if len(content) < size:
                break
            skipped = max(0, wanted.offset_bytes - position)
            if skipped < size:
                yield wanted.digest, position + skipped, content[skipped:]
        if f"blake3:{hasher.hexdigest()}" != wanted.digest:
            self._damaged(name, wanted.digest)
            raise self._corrupt(ref, f"blob {wanted.digest}")

    def _read(self, name: str, offset_bytes: int, size_bytes: int) -> bytes:
        try:
            return self._disk.read(self._files.packs / name, offset_bytes, size_bytes)
        except AwayError:
            with self._files.writing(0):
                raise
        except OSError:
            return b""  # a file that cannot be read is as good as one that is cut

    def _damaged(self, name: str, digest: str) -> None:
        with self._lock:
            self._index.damaged(name, digest)

    def _corrupt(self, ref: str, part: str) -> CorruptArtifactError:
        return CorruptArtifactError(
            f"{ref} cannot be read: its {part} in {self.folder} is lost or was altered; "
            f"remove {self._ref_path(ref)} and run again"
        )

    def _collect(self) -> None:
        unknown = any(not bound.intact for bound in self._index.refs.values())
        if not self._garbage or self._files.broken or unknown:
            return
        pins = [upload.pin for upload in self._uploads.values()] + list(self._readers.values())
        coming = {upload.pack_name for upload in self._uploads.values()}
        names = [name for name in self._index.unreachable(pins) if name not in coming]
        with self._files.writing(0):
            self._files.discard([(name, self._index.packs[name].size_bytes) for name in names])
        for name in names:
            self._index.remove(name)
        self._garbage = bool(pins)

    def _ref_path(self, ref: str) -> Path:
        # A ref may be longer than a file name, and `a` may stand beside `a/b`.
        return self._files.refs / f"{digest_of(ref.encode()).removeprefix('blake3:')}.json"
