"""Files of packs that nobody needs any more, kept to be overwritten.

A new file costs 2.2 CPU-seconds a gigabyte, overwriting one 0.1: rounds of one size follow each
other, so the pack of an old round becomes that of the next.
"""

from dataclasses import dataclass
from pathlib import Path

from atoll_worker.exchange.disk import Disk


@dataclass(frozen=True)
class SpareSizes:
    """What is kept."""

    total_bytes: int = 2 * 1024**3
    """Of all files; given back when the disk or the quota is full."""
    smallest_bytes: int = 1024**2
    """A smaller file costs more to keep account of than to make anew."""


@dataclass(frozen=True)
class Spare:
    """One file that no name of a pack leads to, also after a power cut."""

    path: Path
    size_bytes: int


class Spares:
    """At most so many bytes of such files. The caller holds the lock."""

    def __init__(self, disk: Disk, sizes: SpareSizes) -> None:
        self._disk = disk
        self._sizes = sizes
        self._files: list[Spare] = []

    @property
    def size_bytes(self) -> int:
        """Bytes of all of them."""
        return sum(spare.size_bytes for spare in self._files)

    def wants(self, size_bytes: int) -> bool:
        """Whether a file of this size is worth keeping."""
        return self._sizes.smallest_bytes <= size_bytes <= self._sizes.total_bytes

    def take(self, size_bytes: int, path: Path) -> Path | None:
        """This very file, or the smallest that is large enough, or else the largest."""
        for spare in self._files:
            if spare.path == path:
                self._files.remove(spare)
                return path
        if size_bytes < self._sizes.smallest_bytes or not self._files:
            return None
        ample = [spare for spare in self._files if spare.size_bytes >= size_bytes]
        chosen = min(ample, key=_size) if ample else max(self._files, key=_size)
        self._files.remove(chosen)
        return chosen.path

    def put(self, spare: Spare) -> None:
        """Keep a file, and remove the oldest that are too many.

        Raises:
            OSError: as the disk says.
        """
        self._files.append(spare)
        self.shrink(self._sizes.total_bytes)

    def shrink(self, size_bytes: int) -> None:
        """Give the space of the oldest back until no more than this is kept.

        Raises:
            OSError: as the disk says.
        """
        while self._files and self.size_bytes > size_bytes:
            self._disk.remove(self._files[0].path)
            del self._files[0]


def _size(spare: Spare) -> int:
    return spare.size_bytes
