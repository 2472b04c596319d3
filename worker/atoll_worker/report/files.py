"""Write the report's files, each whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path

from atoll_worker.errors import NoSpaceError


def write_whole(path: Path, content: bytes | bytearray) -> None:
    """Write a file by way of a temporary one beside it.

    Raises:
        NoSpaceError: the disk is full or read-only; the old file, if any, is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise NoSpaceError(
                f"{path.name} needs {len(content):,} bytes and {path.parent} has no room for it: "
                "free some space and run again"
            ) from error
        raise


def _replace(path: Path, content: bytes | bytearray) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
