"""The hub's disk in a simulation: it loses its power, is full, and forgets or alters what it was told."""

import errno
import random
from collections.abc import Callable
from pathlib import Path

from crashing_disk import CrashingDisk

_NEEDS_ROOM = ("create", "reuse", "write", "make_folder")


class FaultyDisk(CrashingDisk):
    """A disk that can be full for a while, and whose files can be damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.full: Callable[[], bool] = bool

    def _change(self, call: str) -> None:
        if call in _NEEDS_ROOM and self.full():
            raise OSError(errno.ENOSPC, "No space left on device")
        super()._change(call)

    def cut_soon(self, calls: int) -> None:
        """Lose the power before one of the next changes."""
        self.cut_at = self.calls + calls

    def after_power_cut(self, seed: int) -> None:
        """Keep of what was not synced whatever the seed says."""
        rng = random.Random(seed)
        after = self.restarted(lambda: rng.random() < 0.5)
        self.__dict__.update(after.__dict__ | {"full": self.full})

    def damage(self, seed: int, *, truncate: bool) -> str:
        """Flip a bit of one file, or cut it short; which one."""
        rng = random.Random(seed)
        files = sorted(path for path, file in self._names.items() if file.content)
        if not files:
            return ""
        path = rng.choice(files)
        content = self._names[path].content
        at = rng.randrange(len(content))
        if truncate:
            del content[at:]
        else:
            content[at] ^= 1 << rng.randrange(8)
        self._names[path].durable = bytearray(content)
        return f"{path.parent.name}/{path.name} at {at}"

    @property
    def locked(self) -> tuple[str, ...]:
        """Files that somebody holds."""
        return tuple(str(it) for it in self._locks.values())

    def files(self) -> tuple[Path, ...]:
        """All that is on it."""
        return tuple(sorted(self._names))
