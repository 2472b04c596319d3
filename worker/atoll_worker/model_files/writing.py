"""A model written piece by piece, in any order, and whole or not at all.

All names, types and shapes are known before a number is: so the header comes first, the file has
its full size, and every piece goes to its place. What is being written has another name, beside the
output, until it is all on the disk.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll_worker.errors import BadDataError, InUseError, NoSpaceError
from atoll_worker.exchange.disk import LocalDisk
from atoll_worker.model_files import header
from atoll_worker.model_files.header import Form

_INDEX: Final = "model.safetensors.index.json"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
_DISK: Final = LocalDisk()


@dataclass(frozen=True)
class Target:
    """What is to be written, and where."""

    path: Path
    """A file that ends with .safetensors; any other name is a folder's."""
    forms: Mapping[str, Form]
    """Of all tensors, in the order of the first model."""
    max_shard_bytes: int
    """Of a file in a folder; a single file may be of any size."""
    metadata: Mapping[str, str]
    """Of the header; what is only known at the end may replace what is as long."""

    @property
    def is_folder(self) -> bool:
        """Whether the output is a folder of shards."""
        return self.path.suffix != ".safetensors"

    @property
    def size_bytes(self) -> int:
        """Of all numbers together."""
        return sum(form.size_bytes for form in self.forms.values())

    def files(self) -> dict[str, dict[str, Form]]:
        """The tensors of each file, by its name."""
        if not self.is_folder:
            return {self.path.name: dict(self.forms)}
        parts = header.shards(self.forms, self.max_shard_bytes)
        if len(parts) == 1:
            return {"model.safetensors": parts[0]}
        names = (f"model-{i:05}-of-{len(parts):05}.safetensors" for i in range(1, len(parts) + 1))
        return dict(zip(names, parts, strict=True))


@dataclass(frozen=True)
class _Place:
    """Where the bytes of a tensor go."""

    descriptor: int
    offset_bytes: int


class Writer:
    """The files of a model while they are written. `write` is safe from several threads."""

    def __init__(self, target: Target, folder: Path, names: Mapping[str, str]) -> None:
        """Make the files, at their full size.

        Args:
            target: What they will be.
            folder: Where they are made.
            names: What each is called there.
        """
        self._target = target
        self._folder = folder
        self._files = target.files()
        self._descriptors: dict[str, int] = {}
        self._places: dict[str, _Place] = {}
        self.size_bytes = 0
        try:
            for file, forms in self._files.items():
                self._create(file, folder / names[file], forms)
        except BaseException:
            self.close()
            raise

    def _create(self, file: str, path: Path, forms: Mapping[str, Form]) -> None:
        text, entries = header.make(forms, self._target.metadata)
        size_bytes = len(text) + sum(form.size_bytes for form in forms.values())
        descriptor = self._descriptors[file] = _DISK.create(path, size_bytes)
        _DISK.write(descriptor, text, 0)
        for name, entry in entries.items():
            self._places[name] = _Place(descriptor, len(text) + entry.begin)
        self.size_bytes += size_bytes

    def write(self, name: str, offset_bytes: int, content: memoryview) -> None:
        """Bytes of a tensor, from an offset in it on."""
        place = self._places[name]
        _DISK.write(place.descriptor, content, place.offset_bytes + offset_bytes)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Replace the metadata by others of the same length; then all is on the disk."""
        for file, forms in self._files.items():
            text, _ = header.make(forms, metadata)
            assert len(text) == len(header.make(forms, self._target.metadata)[0])
            _DISK.write(self._descriptors[file], text, 0)
        if len(self._files) > 1:
            self.add(_INDEX, self._index())
        for descriptor in self._descriptors.values():
            _DISK.sync(descriptor)

    def add(self, name: str, content: bytes) -> None:
        """One more file beside the weights, of a folder."""
        descriptor = _DISK.create(self._folder / name, len(content))
        try:
            _DISK.write(descriptor, content, 0)
            _DISK.sync(descriptor)
        finally:
            _DISK.close(descriptor)

    def close(self) -> None:
        """Close all files."""
        for descriptor in self._descriptors.values():
            _DISK.close(descriptor)
        self._descriptors.clear()

    def _index(self) -> bytes:
        names = {name: file for file, forms in self._files.items() for name in forms}
        total = {"total_size": self._target.size_bytes}
        document = {"metadata": total, "weight_map": dict(sorted(names.items()))}
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def check_output(target: Target, inputs: Sequence[Path], *, force: bool) -> None:
    """Refuse an output that would destroy something.

    Args:
        target: The output.
        inputs: Files and folders that are read.
        force: Whether an output that is there may be replaced.

    Raises:
        InUseError: it exists, or is one of the inputs, or one is in it.
        BadDataError: its folder does not exist, or it is no model's.
    """
    path = target.path.absolute()
    for one in inputs:
        given = one.resolve()
        if path.resolve() == given or path.resolve() in given.parents:
            raise InUseError(f"{target.path}: is read from ({one}): give another output")
    if not path.parent.is_dir():
        raise BadDataError(f"{target.path}: there is no folder {path.parent}: make it first")
    if not path.exists():
        return
    if not force:
        raise InUseError(f"{target.path}: exists: give another output, or --force to replace it")
    if path.is_dir() != target.is_folder:
        kind = "a folder: a single file is" if path.is_dir() else "a file: a folder is"
        raise InUseError(f"{target.path}: is {kind} written to that name: give another output")
    if path.is_dir() and not _is_model(path):
        raise InUseError(f"{target.path}: holds more than a model: remove it yourself")


def _is_model(folder: Path) -> bool:
    """Whether a folder holds nothing but the files of a model, so that it may be replaced."""
    found = list(folder.iterdir())
    weights = any(path.suffix == ".safetensors" for path in found)
    return not found or (weights and not any(path.is_dir() for path in found))


@contextmanager
def written(target: Target) -> Iterator[Writer]:
    """A model to be written: it has its name if all goes well; otherwise nothing is left.

    Raises:
        NoSpaceError: the disk, or what may be written of it, is full.
    """
    path = target.path.absolute()
    stage = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _removed(stage), _saying_space(target):
        if target.is_folder:
            stage.mkdir()
        folder = stage if target.is_folder else stage.parent
        own = {name: name if target.is_folder else stage.name for name in target.files()}
        writer = Writer(target, folder, own)
        try:
            yield writer
        finally:
            writer.close()
        if target.is_folder:
            _DISK.sync_folder(stage)
        _publish(stage, path)


@contextmanager
def _saying_space(target: Target) -> Iterator[None]:
    """Tell the user what a full disk means, and what else keeps a file from being written.

    Raises:
        NoSpaceError: there is no space.
        BadDataError: the output cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise NoSpaceError(
                f"{target.path} needs {target.size_bytes:,} bytes, which cannot be written: "
                f"{error.strerror}: make room and run again; nothing was left behind"
            ) from error
        raise BadDataError(f"{target.path}: cannot be written: {error.strerror}") from error


@contextmanager
def _removed(stage: Path) -> Iterator[None]:
    """Remove what is left under a name at the end."""
    try:
        yield
    finally:
        if stage.is_dir():
            shutil.rmtree(stage)
        else:
            stage.unlink(missing_ok=True)


def _publish(stage: Path, path: Path) -> None:
    """Give what is complete its name; a folder that has it is moved away first."""
    if not path.is_dir():
        _DISK.replace(stage, path)
        _DISK.sync_folder(path.parent)
        return
    old = stage.with_suffix(".old")
    path.rename(old)
    try:
        stage.rename(path)
    except OSError:
        old.rename(path)
        raise
    _DISK.sync_folder(path.parent)
    with suppress(OSError):
        shutil.rmtree(old)
