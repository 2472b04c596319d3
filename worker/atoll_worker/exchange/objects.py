"""A store in a bucket: the same `Store`, on a Disk whose packs and refs are objects.

    PREFIX/packs/<digest>.pack, PREFIX/refs/..., PREFIX/VERSION    as in a folder, see `folder`
    SPOOL/incoming/, SPOOL/LOCK                                    on the disk of this machine

A pack is assembled in the spool and put in parts when it gets its name; a ref is put only if there is
none (If-None-Match), so two hubs cannot bind it to two artifacts. An object is there whole or not at
all once the put returns: nothing is left to sync. One hub a prefix: collection reads no other's mind.

Needs the extra `objects`.
"""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from atoll_worker.exchange.disk import AwayError, LocalDisk, TakenError
from atoll_worker.exchange.spares import SpareSizes
from atoll_worker.exchange.store import Limits, Store

PART_BYTES: Final = 16 * 1024 * 1024
"""Of a multipart upload; S3 takes 10,000 of them."""
_LOCAL: Final = frozenset({"incoming", "LOCK"})


def open_bucket(
    bucket: ObjectStore,
    spool: Path,
    clock: Callable[[], float] = time.monotonic,
    quota_bytes: int | None = None,
) -> Store:
    """The store under the prefix of a bucket.

    Args:
        bucket: with its prefix and credentials.
        spool: a folder for packs that are being received; its disk holds the open uploads.
        clock: seconds, to tell how long an upload has been idle.
        quota_bytes: see `Limits`.

    Raises:
        InUseError: another process uses the spool.
        UnavailableError: the bucket does not answer.
        NoSpaceError: the bucket, or the spool, cannot be written.
    """
    limits = Limits(quota_bytes, SpareSizes(0))
    return Store(spool, BucketDisk(bucket, spool), clock, limits)


class BucketDisk(LocalDisk):
    """A Disk whose files are objects of a bucket, but for those that are being written."""

    def __init__(self, bucket: ObjectStore, spool: Path) -> None:
        self._bucket = bucket
        self._spool = spool

    def read(self, path: Path, offset_bytes: int, size_bytes: int) -> bytes:
        """See `Disk.read`."""
        if self._is_local(path):
            return super().read(path, offset_bytes, size_bytes)
        if size_bytes == 0:
            return b""
        with _told():
            stored_bytes = self._bucket.head(self._key(path))["size"]
            end = min(offset_bytes + size_bytes, stored_bytes)
            if end <= offset_bytes:
                return b""
            return bytes(self._bucket.get_range(self._key(path), start=offset_bytes, end=end))

    def size(self, path: Path) -> int:
        """See `Disk.size`."""
        if self._is_local(path):
            return super().size(path)
        with _told():
            return int(self._bucket.head(self._key(path))["size"])

    def names(self, folder: Path) -> tuple[str, ...]:
        """See `Disk.names`."""
        if self._is_local(folder):
            return super().names(folder)
        with _told():
            found = self._bucket.list_with_delimiter(self._key(folder) or None)["objects"]
            return tuple(sorted(Path(entry["path"]).name for entry in found))

    def make_folder(self, folder: Path) -> None:
        """See `Disk.make_folder`; objects need none."""
        if folder == self._spool or self._is_local(folder):
            LocalDisk().make_folder(folder)  # its parents are local, too

    def replace(self, source: Path, target: Path) -> None:
        """See `Disk.replace`; a ref that is there raises TakenError."""
        if self._is_local(target):
            super().replace(source, target)
            return
        once = target.parent.name == "refs"
        with _told():
            if once:
                self._bucket.put(self._key(target), source.read_bytes(), mode="create")
            else:
                self._bucket.put(self._key(target), source, chunk_size=PART_BYTES)
        super().remove(source)

    def sync_folder(self, folder: Path) -> None:
        """See `Disk.sync_folder`; an object that was put is durable."""
        if self._is_local(folder):
            super().sync_folder(folder)

    def remove(self, path: Path) -> None:
        """See `Disk.remove`."""
        if self._is_local(path):
            super().remove(path)
            return
        with _told():
            self._bucket.delete(self._key(path))

    def _is_local(self, path: Path) -> bool:
        return not _LOCAL.isdisjoint(path.relative_to(self._spool).parts[:1])

    def _key(self, path: Path) -> str:
        return "/".join(path.relative_to(self._spool).parts)


@contextmanager
def _told() -> Iterator[None]:
    """Say what a bucket says as a disk would."""
    try:
        yield
    except AlreadyExistsError as error:
        raise TakenError(errno.EEXIST, "the object is there already") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, "the bucket refused the credentials") from error
    except BaseError as error:
        raise AwayError(errno.EHOSTUNREACH, _first_line(error)) from error


def _first_line(error: BaseError) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
