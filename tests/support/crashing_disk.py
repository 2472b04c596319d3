"""A disk in memory that forgets, at a power cut, whatever was not synced.

What was written, renamed, made or removed is seen at once by whoever runs, and is on the disk only
after a sync. Of the rest a cut keeps any part: each write and each half of a rename by itself,
which is more than any real file system loses.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class PowerCutError(BaseException):
    """No program goes on from here, so that no `except Exception` may catch it."""


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[Callable[[bytearray], None]] = field(default_factory=list)

    def change(self, change: Callable[[bytearray], None]) -> None:
        change(self.content)
        self.unsynced.append(change)


@dataclass(frozen=True)
class _Naming:
    """One half of a rename: a path, and the file that it names from then on."""

    path: Path
    file: _File | None


class CrashingDisk:
    """See `atoll_worker.exchange.disk.Disk`.

    `cut_at`: the number of the changing call before which the power is cut.
    `fail_at`: the number of the changing call that fails with `fail_code`.
    """

    read_bytes = 256

    def __init__(self) -> None:
        self.cut_at: int | None = None
        self.fail_at: int | None = None
        self.fail_code = errno.EIO
        self.failed_call = ""
        self.calls = 0
        self._names: dict[Path, _File] = {}
        self._durable: dict[Path, _File] = {}
        self._unsynced: list[_Naming] = []
        self._open: dict[int, _File] = {}
        self._locks: dict[int, Path] = {}
        self._folders: set[Path] = set()

    def restarted(self, keep: Callable[[], bool]) -> "CrashingDisk":
        """The disk after a power cut, with those of the unsynced changes that `keep` says."""
        after = CrashingDisk()
        after._folders = set(self._folders)
        files: dict[int, _File] = {}
        naming = dict(self._durable)
        for change in self._unsynced:
            if keep():
                _name(naming, change)
        for path, file in naming.items():
            if id(file) not in files:
                files[id(file)] = _survivor(file, keep)
            after._names[path] = after._durable[path] = files[id(file)]
        return after

    def killed(self) -> "CrashingDisk":
        """The disk after the process was killed: all is seen, nothing more is synced."""
        self._open.clear()
        self._locks.clear()
        self.cut_at = self.fail_at = None
        self.calls = 0
        return self

    def used_bytes(self, folder: Path) -> int:
        """Bytes of all files in a folder."""
        return sum(len(it.content) for path, it in self._names.items() if path.parent == folder)

    def create(self, path: Path, size_bytes: int) -> int:
        self._change("create")
        file = _File()
        self._rename(_Naming(path, file))
        return self._opened(file, size_bytes)

    def reuse(self, path: Path, size_bytes: int) -> int:
        self._change("reuse")
        return self._opened(self._file(path), size_bytes)

    def write(self, descriptor: int, content: bytes | memoryview, offset_bytes: int) -> None:
        self._change("write")
        data = bytes(content)

        def change(target: bytearray) -> None:
            target.extend(bytes(max(0, offset_bytes + len(data) - len(target))))
            target[offset_bytes : offset_bytes + len(data)] = data

        self._open[descriptor].change(change)

    def sync(self, descriptor: int) -> None:
        self._change("sync")
        file = self._open[descriptor]
        file.durable = bytearray(file.content)
        file.unsynced.clear()

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        self._locks.pop(descriptor, None)

    def read(self, path: Path, offset_bytes: int, size_bytes: int) -> bytes:
        return bytes(self._file(path).content[offset_bytes : offset_bytes + size_bytes])

    def size(self, path: Path) -> int:
        return len(self._file(path).content)

    def names(self, folder: Path) -> tuple[str, ...]:
        inside = [path.name for path in self._folders if path.parent == folder]
        return tuple(sorted([*inside, *(it.name for it in self._names if it.parent == folder)]))

    def make_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            self._change("make_folder")
            self._folders.add(folder)

    def lock(self, path: Path) -> int:
        self._change("lock")
        if path in self._locks.values():
            raise BlockingIOError(errno.EWOULDBLOCK, "held")
        self._names.setdefault(path, _File())
        descriptor = self._opened(self._names[path], 0)
        self._locks[descriptor] = path
        return descriptor

    def replace(self, source: Path, target: Path) -> None:
        self._change("replace")
        file = self._file(source)
        self._rename(_Naming(target, file))
        self._rename(_Naming(source, None))

    def keep(self, source: Path, target: Path, moved: Callable[[int], None]) -> None:
        del moved
        self.replace(source, target)

    def place(self, path: Path) -> str:
        return str(path)

    def sync_folder(self, folder: Path) -> None:
        self._change("sync_folder")
        rest = []
        for change in self._unsynced:
            if change.path.parent == folder:
                _name(self._durable, change)
            else:
                rest.append(change)
        self._unsynced = rest

    def remove(self, path: Path) -> None:
        self._change("remove")
        if path in self._names:
            self._rename(_Naming(path, None))

    def free_bytes(self, folder: Path) -> int:  # noqa: ARG002 - the name is the port's
        return 0

    def _change(self, call: str) -> None:
        self.calls += 1
        if self.cut_at is not None and self.calls >= self.cut_at:
            raise PowerCutError
        if self.calls == self.fail_at:
            self.failed_call = call
            raise OSError(self.fail_code, "planted")

    def _rename(self, change: _Naming) -> None:
        _name(self._names, change)
        self._unsynced.append(change)

    def _opened(self, file: _File, size_bytes: int) -> int:
        def resize(target: bytearray) -> None:
            del target[size_bytes:]
            target.extend(bytes(size_bytes - len(target)))

        file.change(resize)
        descriptor = max([*self._open, 0]) + 1
        self._open[descriptor] = file
        return descriptor

    def _file(self, path: Path) -> _File:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return self._names[path]


def _name(names: dict[Path, _File], change: _Naming) -> None:
    if change.file is None:
        names.pop(change.path, None)
    else:
        names[change.path] = change.file


def _survivor(file: _File, keep: Callable[[], bool]) -> _File:
    content = bytearray(file.durable)
    for change in file.unsynced:
        if keep():
            change(content)
    return _File(bytearray(content), content)
