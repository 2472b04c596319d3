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
from typing import Final, Literal

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore

from atoll_worker.exchange import refusals
from atoll_worker.exchange.disk import (
    AwayError,
    FullError,
    LocalDisk,
    Moved,
    RefusedError,
    TakenError,
)
from atoll_worker.exchange.room import Limits
from atoll_worker.exchange.spares import SpareSizes
from atoll_worker.exchange.store import Store

PART_BYTES: Final = 8 * 1024 * 1024
"""Of a multipart upload, at least; S3 takes no less than 5 MiB."""
_MAX_PARTS: Final = 10_000
"""Of a multipart upload: S3 takes no more."""
_PARTS_AT_ONCE: Final = 2
"""More take memory, and leave whoever asks how far it is longer without news."""
READ_BYTES: Final = 8 * 1024 * 1024
"""In one request: each costs a round trip, and money."""
_LOCAL: Final = frozenset({"incoming", "LOCK"})


def open_bucket(
    bucket: ObjectStore,
    spool: Path,
    where: str,
    clock: Callable[[], float] = time.monotonic,
    quota_bytes: int | None = None,
) -> Store:
    """The store under the prefix of a bucket.

    Args:
        bucket: with its prefix and credentials.
        spool: a folder for packs that are being received; its disk holds the open uploads.
        where: the prefix, for people: s3://BUCKET/PREFIX.
        clock: seconds, to tell how long an upload has been idle.
        quota_bytes: see `Limits`.

    Raises:
        InUseError: another process uses the spool.
        UnavailableError: the bucket does not answer.
        FinalError: it refuses the credentials.
        NoSpaceError: the bucket, or the spool, cannot be written.
    """
    limits = Limits(quota_bytes, SpareSizes(0))
    return Store(spool, BucketDisk(bucket, spool, where), clock, limits)


def part_bytes_of(size_bytes: int) -> int:
    """How large the parts of an object are, so that they are not too many."""
    return max(PART_BYTES, -(-size_bytes // _MAX_PARTS))


class BucketDisk(LocalDisk):
    """A Disk whose files are objects of a bucket, but for those that are being written."""

    read_bytes = READ_BYTES

    def __init__(self, bucket: ObjectStore, spool: Path, where: str) -> None:
        self._bucket = bucket
        self._spool = spool
        self._where = where

    def place(self, path: Path) -> str:
        """See `Disk.place`."""
        if self._is_local(path):
            return super().place(path)
        return "/".join(filter(None, (self._where, self._key(path))))

    def read(self, path: Path, offset_bytes: int, size_bytes: int) -> bytes:
        """See `Disk.read`."""
        if self._is_local(path):
            return super().read(path, offset_bytes, size_bytes)
        if size_bytes == 0:
            return b""
        end = offset_bytes + size_bytes
        with _told():
            try:
                found = self._bucket.get_range(self._key(path), start=offset_bytes, end=end)
            except BaseError as error:
                if refusals.is_beyond_the_end(str(error)):
                    return b""
                raise
            return bytes(found)

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
        mode: Literal["create", "overwrite"] = (
            "create" if target.parent.name == "refs" else "overwrite"
        )
        content = source.read_bytes()
        with _told():
            self._bucket.put(self._key(target), content, mode=mode)
        super().remove(source)

    def keep(self, source: Path, target: Path, moved: Moved) -> None:
        """See `Disk.keep`; in parts, of which few are in memory."""
        size_bytes = source.stat().st_size
        part_bytes = part_bytes_of(size_bytes)
        whole = size_bytes <= part_bytes
        with _told():
            self._bucket.put(
                self._key(target),
                source.read_bytes() if whole else _parts(source, part_bytes, moved),
                chunk_size=part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
            )
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


def _parts(source: Path, part_bytes: int, moved: Moved) -> Iterator[bytes]:
    done_bytes = 0
    with source.open("rb") as file:
        while part := file.read(part_bytes):
            moved(done_bytes)
            yield part
            done_bytes += len(part)


@contextmanager
def _told() -> Iterator[None]:
    """Say what a bucket says as a disk would."""
    try:
        yield
    except AlreadyExistsError as error:
        raise TakenError(errno.EEXIST, "the object is there already") from error
    except FileNotFoundError as error:  # an object, unless it is the bucket
        why = refusals.why_refused(str(error))
        if why is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object") from error
        raise RefusedError(errno.EACCES, why) from error
    except BaseError as error:
        said = str(error)
        why = refusals.why_refused(said)
        if why is not None:
            raise RefusedError(errno.EACCES, why) from error
        if refusals.is_full(said):
            raise FullError(errno.ENOSPC, refusals.code_of(said)) from error
        raise AwayError(errno.EHOSTUNREACH, refusals.in_short(said)) from error
