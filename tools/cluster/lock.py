"""One command at a time works on the cluster; `down` ends an `up` that is under way."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import TextIO

UP = "up"
DOWN = "down"


@contextmanager
def hold(path: Path, purpose: str) -> Iterator[None]:
    """Hold the machine's lock. It goes with the process, however that ends."""
    # Not opened for writing anew: the holder's line has to stay until the lock is ours.
    with path.open("a+") as file:
        _acquire(file, purpose)
        file.truncate(0)
        file.write(f"{os.getpid()} {purpose}\n")
        file.flush()
        yield


def _acquire(file: TextIO, purpose: str) -> None:
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        pid, other = _holder(file)
        if purpose == DOWN and other == UP and pid:
            print(f"ending the `up` of process {pid}", file=sys.stderr)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        else:
            print(f"waiting for the `{other}` of process {pid}", file=sys.stderr)
        flock(file, LOCK_EX)


def _holder(file: TextIO) -> tuple[int, str]:
    file.seek(0)
    said = file.readline().split()
    return (int(said[0]), said[1]) if len(said) == 2 else (0, "command")
