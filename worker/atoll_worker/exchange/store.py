"""The artifact store on disk: what is bound survives a crash at any moment, whole.

Its files are those of `folder`. Packs that no ref and nobody at work needs are overwritten or removed; a
pack stays as long as one of its blobs is needed, so a store holds at most what was written to it.
No torch, no numpy. Safe to use from several threads.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from atoll_worker.errors import CorruptArtifactError, QuotaError, WorkerError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.content import PIECE_BYTES, Pieces, Run, digest_of
from atoll_worker.exchange.disk import Disk, LocalDisk, RemoteError, TakenError, syncing
from atoll_worker.exchange.folder import Folder
from atoll_worker.exchange.index import Bound, Index, Pin
from atoll_worker.exchange.keeping import Keepers
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.reading import Reader
from atoll_worker.exchange.room import Limits, Usage
from atoll_worker.exchange.shelf import ChangedError, NotBoundError
from atoll_worker.exchange.upload import BusyError, LaterError, Upload, UploadWriter

PATIENCE_SECONDS: Final = 4.0
"""Of one `bind`, for each of two things: both are over before its caller's deadline of 10 s."""


class Store:
    """One folder of artifacts.

    Raises:
        InUseError: another process uses the folder.
        NoSpaceError: the folder cannot be written.
        FinalError: the folder holds a store of another version.
    """

    in_memory = False

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
        self._bind_lock = threading.Lock()  # one ref at a time: disk work outside `_lock`
        self._index = Index()
        self._uploads: dict[str, Upload] = {}
        self._readers: dict[int, Pin] = {}
        self._count = itertools.count()
        self._garbage = False  # whether a pack may have lost its last holder
        self._limits = limits or Limits()
        self._files = Folder(folder, self._disk, self._limits.spares)
        self._keepers = Keepers(self._keep, self._lock, self._disk.place(folder))
        self._reader = Reader(self._files, self._disk, self._index, self._lock)
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
        self._keepers.close()
        self._files.release()

    def bindings(self) -> tuple[Bound, ...]:
        """What is bound now."""
        with self._lock:
            return tuple(self._index.refs.values())

    def usage(self) -> Usage:
        """How full it is."""
        with self._lock:
            return Usage(self._index.size_bytes, len(self._index.refs), len(self._uploads))

    def is_here(self, bound: Bound) -> bool:
        """Whether the bytes were published here, and not only held elsewhere."""
        with self._lock:
            return self._index.is_here(bound.digest)

    def received_bytes(self, ref: str) -> int:
        """How much of the content of a ref has come by now, in uploads that go on."""
        with self._lock:
            uploads = [it for it in self._uploads.values() if it.ref == ref]
            return sum(it.received_bytes for it in uploads)

    def open_upload(
        self, ref: str, content: bytes, readable: Callable[[str], bool] = lambda _: True
    ) -> tuple[str, Sequence[Run]]:
        """A session for the artifact with this manifest, and the bytes that are missing.

        The same ref and manifest again give the same session, with what is still missing; a
        stream that was sending to it is refused from then on.
        Nothing is missing for a ref that is bound already: `bind` will say to what.
        A blob is there only for who may read it through a ref, by `readable`: whoever learnt a
        digest elsewhere has to bring the bytes.

        Raises:
            ManifestError: the ref or the manifest is refused.
            NoSpaceError: the disk, or the quota, cannot hold the missing blobs.
        """
        session = digest_of(f"{manifests.check_ref(ref)} {digest_of(content)}".encode())
        with self._lock:
            known = session in self._uploads
        manifest = None if known else manifests.parse(content)  # takes a while if it is large
        with self._lock:
            self._files.check()
            upload = self._uploads.get(session)
            if upload is None or not self._holds(upload):
                manifest = manifest or manifests.parse(content)
                upload = self._start_upload(session, ref, manifest, readable)
            upload.idle_since = self._clock()
            upload.take_over()
            return session, () if self._stands(upload) else upload.remaining()

    def ref_of(self, session: str) -> str:
        """The ref that a session is to bind.

        Raises:
            BusyError: there is no such session (any more).
        """
        return self._upload(session).ref

    def writer(self, session: str) -> UploadWriter:
        """Receive the bytes of a session; a stream that was sending to it is refused from now on.

        Raises:
            BusyError: there is no such session (any more).
        """
        return UploadWriter(self._upload(session), self._files.writing, self._clock)

    def bind(self, session: str, patience_seconds: float = PATIENCE_SECONDS) -> tuple[Bound, bool]:
        """Bind the ref of a session, durably; the binding that stands, and whether it is news.

        To write the pack where it is kept may take minutes: it goes on while nobody waits, and
        whoever calls again is told how far it is, or what came of it.

        Raises:
            LaterError: others are being bound, or (WritingError) the pack is being written: call again.
            BusyError: there is no such session, or what it counted on is gone: open it again.
            NoSpaceError: the disk is full.
        """
        upload = self._upload(session)
        if not self._is_decided(upload):
            self._keepers.wait_for(upload, patience_seconds)
        with self._turn(upload.ref, patience_seconds):
            if self._upload(session) is not upload:
                raise BusyError(f"the upload of {upload.ref} began anew: open it again")
            with self._lock:
                if self._is_decided(upload):
                    self._end(session)
                    bound = self._index.refs[upload.ref]
                    return bound, upload.kept and bound.digest == upload.manifest.digest
            try:
                bound, new = self._bind(upload), True
            except TakenError:
                bound, new = self._adopt(upload.ref), False
            with self._lock:
                self._end(session)
            return bound, new

    def hold(self, ref: str, content: bytes) -> tuple[Bound, bool]:
        """Bind a ref, durably, to a manifest whose blobs stay with whoever holds them.

        Raises:
            ManifestError: the ref or the manifest is refused.
            NoSpaceError: the disk, or the quota, cannot hold the manifest.
        """
        manifest = manifests.parse(content)
        manifests.check_ref(ref)
        with self._bind_lock, self._pinned(Pin(manifest.digest, manifest.content)):
            with self._lock:
                self._files.check()
                if ref in self._index.refs:
                    return self._index.refs[ref], False
                known = self._index.manifest(manifest.digest) is not None
                if not known:
                    self._check_quota(ref, len(content))
            if not known:
                self._write_held(content)
            try:
                self._write_ref(ref, manifest.digest)
            except TakenError:
                return self._adopt(ref), False
            with self._lock:
                return self._index.bind(ref, manifest), True

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
                content = self._reader.read(name, span.offset_bytes, span.size_bytes)
                if digest_of(content) == bound.digest:
                    return bound, content
                with self._lock:
                    self._index.damaged(name, bound.digest)
            raise self._reader.corrupt(ref, f"manifest {bound.digest}")

    def read(self, ref: str, manifest_digest: str, runs: Sequence[Run]) -> Pieces:
        """Pieces of the runs in order; what is read stays until the end.

        Raises:
            NotBoundError: nothing is bound to the ref, or another process holds its bytes.
            ChangedError: the ref is bound to another artifact.
            ContentError: the artifact does not have these bytes.
            CorruptArtifactError: a blob is lost or was altered, known at its end at the latest.
        """
        with self._reading(ref) as bound:
            if bound.digest != manifest_digest:
                raise ChangedError(f"{ref} is bound to {bound.digest} now: resolve it again")
            if bound.intact and not self.is_here(bound):
                raise NotBoundError(f"the bytes of {ref} are with who made it: ask there, or want")
            bound.content.check(runs)
            for run in runs:
                yield from self._reader.pieces(bound, run)

    def drop(self, refs: Sequence[str]) -> tuple[str, ...]:
        """Unbind refs, durably, and reclaim what nobody needs; the refs that were bound."""
        with self._bind_lock, self._lock:
            dropped = tuple(ref for ref in dict.fromkeys(refs) if ref in self._index.refs)
            with self._files.writing(0):
                for ref in dropped:
                    self._disk.remove(self._files.ref_path(ref))
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
                written = upload.keeping is None or upload.keeping.done()
                if written and now - upload.idle_since >= idle_seconds:
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
        with ExitStack() as kept:
            with self._lock:
                bound = self._bound(ref)
                kept.enter_context(self._pinned(Pin(bound.digest, bound.content)))
            yield bound

    @contextmanager
    def _pinned(self, pin: Pin) -> Iterator[None]:
        """Keep what no ref may lead to, or no longer."""
        with self._lock:
            reader = next(self._count)
            self._readers[reader] = pin
        try:
            yield
        finally:
            with self._lock:
                del self._readers[reader]
                with suppress(WorkerError):  # whoever kept it has what it asked for
                    self._collect()  # what was dropped meanwhile

    def _load(self) -> None:
        for name in self._disk.names(self._files.packs):
            self._add_pack(self._files.packs / name)
        for name in self._disk.names(self._files.refs):
            self._load_ref(self._files.refs / name)

    def _add_pack(self, path: Path) -> None:
        try:
            length = packs.head_bytes(self._disk.read(path, 0, packs.PREFIX.size))
            head = self._disk.read(path, 0, length)
            self._index.add(packs.read_head(path.name, head, self._disk.size(path)))
        except RemoteError:
            raise
        except (ValueError, OSError):
            return  # whoever reads a ref that needs it is told

    def _load_ref(self, path: Path) -> None:
        try:
            document = json.loads(self._disk.read(path, 0, PIECE_BYTES))
            ref = manifests.check_ref(str(document["ref"]))
            digest = manifests.check_digest(str(document["digest"]))
            self._files.check_place(path, ref)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise CorruptArtifactError(
                f"{self._disk.place(path)} was altered: remove it, and the step that made the "
                "artifact runs again if that is needed still"
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
        if len(self._uploads) >= self._limits.uploads:
            raise BusyError(f"{self._limits.uploads} uploads are open already: try again later")
        blobs = manifest.content.blobs
        there = self._index.present(manifest.content, readable)
        missing = [digest not in there for digest, _ in blobs]
        upload = Upload(ref, manifest, missing, idle_since=self._clock())
        if self._stands(upload):
            upload = Upload(ref, manifest, [False] * len(blobs), idle_since=self._clock())
        elif upload.missing or not self._index.is_here(manifest.digest):
            self._check_quota(ref, upload.size_bytes)
            with self._files.writing(upload.size_bytes):
                upload.open(self._disk, *self._files.open_part(session, upload.size_bytes))
        self._uploads[session] = upload
        return upload

    def _stands(self, upload: Upload) -> bool:
        """Whether its ref is bound, and nothing that it brings is awaited."""
        standing = self._index.refs.get(upload.ref)
        if standing is None:
            return False
        return standing.digest != upload.manifest.digest or self._index.is_here(standing.digest)

    def _check_quota(self, ref: str, size_bytes: int) -> None:
        quota_bytes = self._limits.quota_bytes
        if quota_bytes is None:
            return
        open_bytes = sum(it.size_bytes for it in self._uploads.values() if it.opened)
        rest_bytes = quota_bytes - self._index.size_bytes - open_bytes - size_bytes
        if rest_bytes < 0:
            raise QuotaError(
                f"{ref} needs {size_bytes} bytes, {max(0, rest_bytes + size_bytes)} of the job's "
                f"quota of {quota_bytes} are left: raise spec.artifacts.quota and run again"
            )
        with self._files.writing(0):
            self._files.spares.shrink(rest_bytes)

    def _is_decided(self, upload: Upload) -> bool:
        """Whether its ref stands; if not, everything is here to bind it.

        Raises:
            BusyError: something is missing.
        """
        with self._lock:
            self._files.check()
            if self._stands(upload):
                return True
            if upload.remaining() or not self._holds(upload):
                count = sum(end - begin for begin, end in upload.remaining())
                raise BusyError(f"{upload.ref} still lacks {count} bytes: open it again")
            return False

    def _keep(self, upload: Upload) -> None:
        with self._files.writing(upload.size_bytes):
            pack = upload.keep(self._files.packs / upload.pack_name)
        with self._lock:
            self._index.add(pack)
            self._garbage = True  # the pack of a manifest that was held, if there is one

    @contextmanager
    def _turn(self, ref: str, patience_seconds: float) -> Iterator[None]:
        if not self._bind_lock.acquire(timeout=patience_seconds):
            raise LaterError(f"{ref} waits until others are bound or dropped: ask again")
        try:
            yield
        finally:
            self._bind_lock.release()

    def _bind(self, upload: Upload) -> Bound:
        if upload.ref not in self._index.refs:
            self._write_ref(upload.ref, upload.manifest.digest)
        with self._lock:
            return self._index.bind(upload.ref, upload.manifest)

    def _write_ref(self, ref: str, digest: str) -> None:
        document = json.dumps({"ref": ref, "digest": digest})
        with self._files.writing(len(document)):
            self._files.write(self._files.ref_path(ref), document.encode())

    def _write_held(self, manifest: bytes) -> None:
        head = packs.head(manifest, None)
        name = packs.name_of(head)
        with self._files.writing(len(head)):
            self._files.write(self._files.packs / name, head)
        with self._lock:
            self._index.add(packs.read_head(name, head, len(head)))

    def _adopt(self, ref: str) -> Bound:
        """Take note of a binding that another hub of the same bucket made first."""
        with self._lock, self._files.writing(0):
            for name in self._disk.names(self._files.packs):
                if name not in self._index.packs:
                    self._add_pack(self._files.packs / name)
            self._load_ref(self._files.ref_path(ref))
            self._garbage = True
            return self._index.refs[ref]

    def _holds(self, upload: Upload) -> bool:
        """Whether all that an upload counts on, and does not bring, is still there."""
        if self._stands(upload):
            return True
        written = upload.opened or upload.keeping is not None
        if not written and not self._index.is_here(upload.manifest.digest):
            return False
        brought = {digest for digest, _ in upload.missing}
        return all(
            digest in brought or self._index.blob(digest) is not None
            for digest, _ in upload.pin.content.blobs
        )

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

    def _collect(self) -> None:
        unknown = any(not bound.intact for bound in self._index.refs.values())
        if not self._garbage or self._files.broken or unknown:
            return
        pins = [upload.pin for upload in self._uploads.values()] + list(self._readers.values())
        coming = {upload.pack_name for upload in self._uploads.values()}
        names = [name for name in self._index.unreachable(pins) if name not in coming]
        with self._files.writing(0):
            sizes = [(name, self._index.packs[name].size_bytes) for name in names]
            for name in self._files.discard(sizes):
                self._index.remove(name)
        self._garbage = bool(pins)
