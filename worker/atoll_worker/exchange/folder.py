"""The folder of a store: who holds it, its version, durable small files, and what a disk says.

    FOLDER/LOCK                 held by the one process that uses the folder
    FOLDER/VERSION              of the format; a store of another version is left alone
    FOLDER/packs/<digest>.pack  see `pack`; written to `incoming`, synced, renamed
    FOLDER/refs/<digest of the name>.json   {"ref", "digest"}; written after its pack, the same way
    FOLDER/incoming/<session>.part   a pack that is being received
    FOLDER/incoming/<number>.part    what is being written or waits to be overwritten

A pack is moved to `incoming`, and `packs` synced, before it is overwritten: no crash leaves the name
of a pack on other bytes. Of what a process that was killed left there, packs that were being received
stay, so that the same upload goes on; they are believed only as far as their digests say.
"""

import errno
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from atoll_worker.errors import FinalError, NoSpaceError, UnavailableError, WorkerError
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.content import digest_of
from atoll_worker.exchange.disk import (
    Disk,
    FullError,
    RefusedError,
    RemoteError,
    SyncError,
    TakenError,
    syncing,
)
from atoll_worker.exchange.lock import FolderLock
from atoll_worker.exchange.spares import Spare, Spares, SpareSizes

VERSION: Final = b"atoll store 1\n"
_VERSION_BYTES: Final = 64
_A_VERSION: Final = re.compile(rb"atoll store [0-9]+")
_PART: Final = ".part"
_SESSION_PART: Final = re.compile(rf"[0-9a-f]{{64}}{re.escape(_PART)}")
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class Folder:
    """A folder that this process holds, until `release`.

    Raises:
        InUseError: another process uses the folder.
        NoSpaceError: the folder cannot be written.
        FinalError: the folder holds a store of another version, or its VERSION was altered.
    """

    def __init__(self, path: Path, disk: Disk, spares: SpareSizes) -> None:
        self.path = path
        self.packs = path / "packs"
        self.refs = path / "refs"
        self.incoming = path / "incoming"
        self.spares = Spares(disk, spares)
        self._disk = disk
        self._count = itertools.count()
        self._broken: WorkerError | None = None
        with self.writing(0):
            disk.make_folder(path)
            self._lock = FolderLock(path, disk)
        try:
            with self.writing(0):
                self._prepare()
        except BaseException:
            self._lock.release()
            raise

    @property
    def broken(self) -> bool:
        """Whether the disk failed in a way that leaves its content unknown."""
        return self._broken is not None

    def ref_path(self, ref: str) -> Path:
        """Where the binding of a ref is written."""
        # A ref may be longer than a file name, and `a` may stand beside `a/b`.
        return self.refs / f"{digest_of(ref.encode()).removeprefix('blake3:')}.json"

    def check_place(self, path: Path, ref: str) -> None:
        """See that a binding is of the ref whose file it is in: one bit makes another name of a name.

        Raises:
            ValueError: it is not.
        """
        if path != self.ref_path(ref):
            raise ValueError(f"{path.name} is not where {ref} is bound")

    def release(self) -> None:
        """Let another process have the folder; again is no harm."""
        self._lock.release()

    def check(self) -> None:
        """Raise what broke the disk, if something did."""
        if self._broken is not None:
            raise self._broken

    @contextmanager
    def writing(self, size_bytes: int) -> Iterator[None]:
        """Say what the disk says in a sentence.

        Raises:
            NoSpaceError: it is full or read-only.
            UnavailableError: it does not answer.
            FinalError: it is a bucket that refuses this hub.
            TakenError: a name that is given once was given by another process.
            WorkerError: it failed, or a sync did: nothing is written any more.
        """
        self.check()
        try:
            yield
        except TakenError:
            raise
        except OSError as error:
            told = self._told(size_bytes, error)
            known = isinstance(error, RemoteError) or error.errno in _NO_SPACE | _READ_ONLY
            if isinstance(error, SyncError) or not known:
                self._broken = told
            raise told from error

    def open_part(self, session: str, size_bytes: int) -> tuple[Path, int, bool]:
        """A file for what a session receives, of this size; its descriptor; whether it may go on.

        It is the session's own if a process that was killed left it, or else an old pack's if
        there is one. What is in another's file is none of this session's business, so such a file
        never gets the session's name.

        Raises:
            OSError: as the disk says, once nothing is kept in reserve; nothing is left behind.
        """
        path = self.incoming / f"{session.removeprefix('blake3:')}{_PART}"
        spare = self.spares.take(size_bytes, path)
        if spare is not None:
            target = path if spare == path else self._part()
            try:
                if target != spare:
                    self._disk.replace(spare, target)
                return target, self._disk.reuse(target, size_bytes), target == path
            except OSError:
                self._disk.remove(spare)
                self._disk.remove(target)
        try:
            return path, self._disk.create(path, size_bytes), False
        except OSError as error:
            if error.errno not in _NO_SPACE or not self.spares.size_bytes:
                raise
        self.spares.shrink(0)
        return path, self._disk.create(path, size_bytes), False

    def discard(self, names: Sequence[tuple[str, int]]) -> Iterator[str]:
        """Take packs, (name, bytes) each, away, for good; their space is kept or given back.

        Yields:
            The name of each that is gone, also where the disk fails at the next.

        Raises:
            OSError: as the disk says.
        """
        moved = []
        for name, size_bytes in names:
            if self.spares.wants(size_bytes):
                part = self._part()
                self._disk.replace(self.packs / name, part)
                moved.append(Spare(part, size_bytes))
            else:
                self._disk.remove(self.packs / name)
            yield name
        if moved:
            with syncing():
                self._disk.sync_folder(self.packs)
        for spare in moved:
            self.spares.put(spare)

    def write(self, target: Path, content: bytes) -> None:
        """Replace a small file in one step, durably.

        Raises:
            OSError: as the disk says; the old file stands, unless it is a `SyncError`.
        """
        path = self._part()
        descriptor = self._disk.create(path, len(content))
        try:
            self._disk.write(descriptor, content, 0)
            with syncing():
                self._disk.sync(descriptor)
            self._disk.replace(path, target)
        except OSError:
            with suppress(OSError):
                self._disk.remove(path)
            raise
        finally:
            self._disk.close(descriptor)
        with syncing():
            self._disk.sync_folder(target.parent)

    def _prepare(self) -> None:
        fresh = "VERSION" not in self._disk.names(self.path)
        if not fresh:
            self._check_version()
        for folder in (self.packs, self.refs, self.incoming):
            self._disk.make_folder(folder)
        for name in self._disk.names(self.incoming):
            self._keep_or_remove(self.incoming / name)
        if fresh:
            self.write(self.path / "VERSION", VERSION)
        # Whoever was killed here may have left names that the disk does not hold yet.
        with syncing():
            self._disk.sync_folder(self.packs)
            self._disk.sync_folder(self.refs)

    def _check_version(self) -> None:
        path = self.path / "VERSION"
        found = self._disk.read(path, 0, _VERSION_BYTES).strip()
        if found == VERSION.strip():
            return
        said, own = repr(found.decode(errors="replace")), repr(VERSION.decode().strip())
        if _A_VERSION.fullmatch(found):
            raise FinalError(
                f"{self._disk.place(self.path)} holds {said}, this version reads {own}: use the "
                "version that wrote it, or another folder"
            )
        raise FinalError(
            f"{self._disk.place(path)} was altered: it holds {said}, not {own}; if no other version "
            "of Atoll wrote there, remove that file and run again"
        )

    def _keep_or_remove(self, path: Path) -> None:
        """Keep what was being received; it counts as a spare, and gives way like one."""
        size_bytes = self._disk.size(path)
        session = _SESSION_PART.fullmatch(path.name) is not None
        if session and self.spares.wants(size_bytes) and not self._is_kept(path):
            self.spares.put(Spare(path, size_bytes))
        else:
            self._disk.remove(path)

    def _is_kept(self, path: Path) -> bool:
        """Whether this is a pack by now: a rename that a power cut met may leave both names."""
        try:
            length = packs.head_bytes(self._disk.read(path, 0, packs.PREFIX.size))
        except packs.PackError:
            return False
        return packs.name_of(self._disk.read(path, 0, length)) in self._disk.names(self.packs)

    def _part(self) -> Path:
        return self.incoming / f"{next(self._count)}{_PART}"

    def _told(self, size_bytes: int, error: OSError) -> WorkerError:
        if isinstance(error, RemoteError):
            return _told_from_afar(self._disk.place(self.path), size_bytes, error)
        if error.errno in _READ_ONLY:
            return NoSpaceError(f"{self.path} is read-only: make it writable and run again")
        if error.errno not in _NO_SPACE:
            return WorkerError(
                f"the disk of {self.path} failed ({error.strerror}): check it and run again"
            )
        free = "an unknown number"
        with suppress(OSError):
            free = str(self._disk.free_bytes(self.path))
        return NoSpaceError(
            f"{self.path} cannot take {size_bytes} bytes ({error.strerror}, {free} are free): "
            "free some space and run again"
        )


def _told_from_afar(place: str, size_bytes: int, error: RemoteError) -> WorkerError:
    match error:
        case RefusedError():
            return FinalError(f"{place}: {error.strerror}")
        case FullError():
            return NoSpaceError(
                f"{place} cannot take {size_bytes} bytes ({error.strerror}): free some space there "
                "and run again"
            )
        case _:
            return UnavailableError(f"{place} does not answer: {error.strerror}")
