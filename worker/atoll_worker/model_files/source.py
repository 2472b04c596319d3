"""A model to read: one safetensors file, or a folder of them as Hugging Face lays it out."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atoll_worker.errors import BadDataError
from atoll_worker.model_files import header

_INDEX: Final = ".safetensors.index.json"
_LONGEST_NAME: Final = 255
_SINGLE: Final = "model.safetensors"


@dataclass(frozen=True)
class Stored:
    """One tensor, and where its bytes are."""

    form: header.Form
    file: Path
    descriptor: int
    offset_bytes: int


@dataclass(frozen=True)
class Model:
    """A model, open to be read."""

    path: Path
    """As the user gave it."""
    tensors: Mapping[str, Stored]
    """In the order of the files, and in them of their places."""

    @property
    def folder(self) -> Path | None:
        """Where its config and tokenizer would be; a single file has none."""
        return self.path if self.path.is_dir() else None


def files_of(path: Path) -> tuple[Path, ...]:
    """The weight files of a model, in the order of their names.

    Raises:
        BadDataError: there are none, or not all that the index names.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise BadDataError(f"{path}: no such file or folder")
    if index := _only(path, f"*{_INDEX}"):
        return tuple(path / name for name in sorted(set(_weight_map(index).values())))
    if (path / _SINGLE).is_file():
        return (path / _SINGLE,)
    if single := _only(path, "*.safetensors"):
        return (single,)
    raise BadDataError(f"{path}: there is no .safetensors file in it: convert the model first")


@contextmanager
def opened(path: Path) -> Iterator[Model]:
    """A model with its files open.

    Raises:
        BadDataError: a file is missing, damaged or cut off; the message names it.
    """
    with ExitStack() as stack:
        tensors: dict[str, Stored] = {}
        for file in files_of(path):
            descriptor = _opened(file)
            stack.callback(os.close, descriptor)
            for name, stored in _stored(file, descriptor).items():
                if name in tensors:
                    first = tensors[name].file.name
                    raise BadDataError(f"{file}: tensor {name!r} is in {first} already")
                tensors[name] = stored
        _check_index(path, tensors)
        if not tensors:
            raise BadDataError(f"{path}: there is no tensor in it")
        yield Model(path, tensors)


def _only(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:3])
        raise BadDataError(f"{folder}: holds {names}: say which file, or keep one model a folder")
    return found[0] if found else None


def _weight_map(index: Path) -> dict[str, str]:
    match json_of(index):
        case {"weight_map": dict(names)} if names:
            pass
        case _:
            raise BadDataError(f"{index}: has no weight_map: not the index of a sharded model")
    for name, file in names.items():
        if not isinstance(file, str) or Path(file).name != file or len(file) > _LONGEST_NAME:
            raise BadDataError(
                f"{index}: tensor {name[:80]!r} is said to be in {str(file)[:80]!r}, not a file here"
            )
    return names


def _check_index(path: Path, tensors: Mapping[str, Stored]) -> None:
    """See that the files hold what the index says, no less and no more."""
    index = _only(path, f"*{_INDEX}") if path.is_dir() else None
    if index is None:
        return
    names = _weight_map(index)
    for name, file in names.items():
        if name not in tensors or tensors[name].file.name != file:
            raise BadDataError(f"{path / file}: tensor {name!r} is not in it, as {index.name} says")
    for name in tensors.keys() - names.keys():
        raise BadDataError(f"{tensors[name].file}: {index.name} does not know its tensor {name!r}")


def json_of(path: Path) -> Any:
    """A JSON file.

    Raises:
        BadDataError: it is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise BadDataError(f"{path}: not JSON: {reason}") from None
    except OSError as error:
        raise BadDataError(f"{path}: cannot be read: {error.strerror}") from None


def _opened(file: Path) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadDataError(f"{file}: cannot be read: {error.strerror}") from None


def _stored(file: Path, descriptor: int) -> dict[str, Stored]:
    file_bytes = os.fstat(descriptor).st_size
    try:
        length = os.pread(descriptor, header.LENGTH_BYTES, 0)
        size = header.header_bytes(length, file_bytes)
        start = header.LENGTH_BYTES + size
        entries = header.parse(os.pread(descriptor, size, header.LENGTH_BYTES), file_bytes - start)
    except BadDataError as error:
        raise BadDataError(f"{file}: {error}") from None
    except OSError as error:
        raise BadDataError(f"{file}: cannot be read: {error.strerror}") from None
    return {
        name: Stored(entry.form, file, descriptor, start + entry.begin)
        for name, entry in entries.items()
    }
