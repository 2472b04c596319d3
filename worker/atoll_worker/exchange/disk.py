"""The few things the store asks of a disk, so that a test can hand it one that fails."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from atoll_worker.exchange.content import PIECE_BYTES

Moved = Callable[[int], None]
"""Told how many bytes of a file have been moved; what it raises ends the move."""


class Disk(Protocol):
    """File I/O. Every method raises OSError as the operating system would."""

    @property
    def read_bytes(self) -> int:
        """How much is worth reading at once where all of it is wanted."""
        ...

    def place(self, path: Path) -> str:
        """Where a file or folder is, for people."""
        ...

    def create(self, path: Path, size_bytes: int) -> int:
        """A new file with its space reserved, open for writing; its descriptor."""
        ...

    def reuse(self, path: Path, size_bytes: int) -> int:
        """A file that is there, open to be overwritten, of another size; its descriptor."""
        ...

    def write(self, descriptor: int, content: bytes | memoryview, offset_bytes: int) -> None:
        """Write all of `content` at an offset."""
        ...

    def sync(self, descriptor: int) -> None:
        """Return once what was written survives a power cut."""
        ...

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        ...

    def read(self, path: Path, offset_bytes: int, size_bytes: int) -> bytes:
        """At most `size_bytes`; fewer at the end of the file."""
        ...

    def size(self, path: Path) -> int:
        """Bytes of a file."""
        ...

    def names(self, folder: Path) -> tuple[str, ...]:
        """Names of what is in a folder, sorted."""
        ...

    def make_folder(self, folder: Path) -> None:
        """Make a folder and its parents, durably, unless it is there."""
        ...

    def lock(self, path: Path) -> int:
        """Make or open a file that says who holds it; held until its descriptor is closed.

        Raises:
            BlockingIOError: another process holds it.
        """
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Give a file its name; whoever looks sees the old file or the new one."""
        ...

    def keep(self, source: Path, target: Path, moved: Moved) -> None:
        """As `replace`, of a file so large that it may take minutes to bring where it is kept."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in the folder survive a power cut."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is passed over."""
        ...

    def free_bytes(self, folder: Path) -> int:
        """Bytes that this user may still write below the folder."""
        ...


class SyncError(OSError):
    """A sync failed: nobody knows what is on the disk, and asking again would lie."""


class TakenError(OSError):
    """Somebody else gave this name to a file first."""


class RemoteError(OSError):
    """What holds the files, and is no disk of this machine, cannot do it; `strerror` says why."""


class AwayError(RemoteError):
    """It does not answer; another attempt may help."""


class RefusedError(RemoteError):
    """It answers, and will not do it for us, now or later."""


class FullError(RemoteError):
    """It has no space left."""


@contextmanager
def syncing() -> Iterator[None]:
    """Tell failures of a sync, which are final, from those of a write.

    Raises:
        SyncError: the sync inside failed.
    """
    try:
        yield
    except OSError as error:
        raise SyncError(error.errno, error.strerror) from error


class LocalDisk:
    """The disk of this machine."""

    read_bytes = PIECE_BYTES

    def place(self, path: Path) -> str:
        """See `Disk.place`."""
        return str(path)

    def create(self, path: Path, size_bytes: int) -> int:
        """See `Disk.create`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _reserve(descriptor, size_bytes)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        return descriptor

    def reuse(self, path: Path, size_bytes: int) -> int:
        """See `Disk.reuse`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size_bytes)
            _reserve(descriptor, size_bytes)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, descriptor: int, content: bytes | memoryview, offset_bytes: int) -> None:
        """See `Disk.write`."""
        rest = memoryview(content)
        while rest:
            written = os.pwrite(descriptor, rest, offset_bytes)
            offset_bytes += written
            rest = rest[written:]

    def sync(self, descriptor: int) -> None:
        """See `Disk.sync`."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """See `Disk.close`."""
        os.close(descriptor)

    def read(self, path: Path, offset_bytes: int, size_bytes: int) -> bytes:
        """See `Disk.read`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size_bytes, offset_bytes)
        finally:
            os.close(descriptor)

    def size(self, path: Path) -> int:
        """See `Disk.size`."""
        return path.stat().st_size

    def names(self, folder: Path) -> tuple[str, ...]:
        """See `Disk.names`."""
        return tuple(sorted(os.listdir(folder)))  # noqa: PTH208 - names are all that is asked for

    def make_folder(self, folder: Path) -> None:
        """See `Disk.make_folder`."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self.sync_folder(folder.parent)

    def lock(self, path: Path) -> int:
        """See `Disk.lock`."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def replace(self, source: Path, target: Path) -> None:
        """See `Disk.replace`."""
        source.replace(target)

    def keep(self, source: Path, target: Path, moved: Moved) -> None:
        """See `Disk.keep`; a rename takes no time."""
        del moved
        self.replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        """See `Disk.sync_folder`."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """See `Disk.remove`."""
        path.unlink(missing_ok=True)

    def free_bytes(self, folder: Path) -> int:
        """See `Disk.free_bytes`."""
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize


def _reserve(descriptor: int, size_bytes: int) -> None:
    # macOS has no posix_fallocate: there a full disk shows at the first write that needs it.
    if size_bytes and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
