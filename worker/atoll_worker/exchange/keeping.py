"""Packs on their way to where they are kept, on threads of their own: nobody need wait for one.

To a bucket that takes minutes, more than the deadline of whoever asked for it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Final

from atoll_worker.exchange.upload import Upload, WritingError

_PACKS_AT_ONCE: Final = 16
"""Each to a bucket takes the memory of a few parts."""


class Keepers:
    """Calls `keep` of uploads, one call at a time for each. Safe to use from several threads.

    Args:
        keep: gives the pack of an upload its name.
        lock: guards `Upload.keeping`.
        place: where packs are kept, for people.
    """

    def __init__(
        self, keep: Callable[[Upload], None], lock: AbstractContextManager[object], place: str
    ) -> None:
        self._keep = keep
        self._lock = lock
        self._place = place
        self._pool = ThreadPoolExecutor(_PACKS_AT_ONCE, thread_name_prefix="keep")

    def wait_for(self, upload: Upload, patience_seconds: float) -> None:
        """Return once the pack is kept, or raise what came of it, to one caller at least.

        Raises:
            WritingError: it takes longer, and goes on.
        """
        with self._lock:
            if upload.keeping is None and upload.opened:
                upload.keeping = self._pool.submit(self._keep, upload)
            keeping = upload.keeping
        if keeping is None:
            return
        wait([keeping], patience_seconds)
        if not keeping.done():
            raise WritingError(upload.ref, self._place, upload.written_bytes, upload.size_bytes)
        with self._lock:
            if upload.keeping is keeping:
                upload.keeping = None  # heard of: after a failure it is tried again
        keeping.result()

    def close(self) -> None:
        """Wait for what runs, which ends soon where its upload was closed."""
        self._pool.shutdown()
