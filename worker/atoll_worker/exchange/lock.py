"""One process a folder: an exclusive lock that ends with the process, however it ends."""

import fcntl
import os
from pathlib import Path

from atoll_worker.errors import InUseError


class FolderLock:
    """Held from construction to `release`.

    Raises:
        InUseError: another process holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise InUseError(
                f"the store {folder} belongs to another run (process {holder or 'unknown'}): "
                "wait for it, or choose another folder"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have the folder; again is no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
