"""Says, in the log, that a hub's store is nearly full: while there is time to do something."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from atoll_telemetry import logs
from atoll_worker.exchange.shelf import Shelf

LOOK_SECONDS: Final = 30.0
"""Between two looks: each goes over all that is bound."""
NEARLY: Final = 0.9
AGAIN: Final = 0.8
"""Below this share it has room again, and the next time is news."""

_log = logging.getLogger(__name__)


class Fullness:
    """Of the quota, and of the disk."""

    def __init__(self, store: Shelf, quota_bytes: int | None, folder: Path | None) -> None:
        """Look from now on.

        Args:
            store: what fills.
            quota_bytes: what it may hold; None without a limit.
            folder: on the disk that holds it; None where that is a bucket.
        """
        self._store = store
        self._quota_bytes = quota_bytes
        self._folder = folder
        self._said: set[str] = set()

    def look(self) -> None:
        """Tell what has become nearly full since the last look."""
        for what, used, limit in self._shares():
            share = used / limit
            if share < AGAIN:
                self._said.discard(what)
            elif share >= NEARLY and what not in self._said:
                self._said.add(what)
                said = logs.extra(used_bytes=used, limit_bytes=limit)
                _log.warning("%s is nearly full: %d of %d bytes", what, used, limit, extra=said)

    def _shares(self) -> Iterator[tuple[str, int, int]]:
        if self._quota_bytes:
            here = (it for it in self._store.bindings() if self._store.is_here(it))
            yield "the job's quota", sum(it.size_bytes for it in here), self._quota_bytes
        if self._folder is not None:
            disk = shutil.disk_usage(self._folder)
            yield "the disk of the store", disk.total - disk.free, disk.total
