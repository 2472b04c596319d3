"""One process a folder: an exclusive lock that ends with the process, however it ends."""

from pathlib import Path

from atoll_worker.errors import InUseError
from atoll_worker.exchange.disk import Disk


class FolderLock:
    """Held from construction to `release`.

    Raises:
        InUseError: another process holds the folder.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._disk = disk
        path = folder / "LOCK"
        try:
            self._descriptor = disk.lock(path)
        except BlockingIOError as error:
            holder = disk.read(path, 0, 32).decode(errors="replace").strip()
            raise InUseError(
                f"the store {folder} belongs to another run (process {holder or 'unknown'}): "
                "wait for it, or choose another folder"
            ) from error

    def release(self) -> None:
        """Let another process have the folder; again is no harm."""
        if self._descriptor >= 0:
            self._disk.close(self._descriptor)
            self._descriptor = -1
