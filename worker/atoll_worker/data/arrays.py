"""`.npz` and `.safetensors` files with an array `x` and, optionally, labels `y`. No pickle."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from atoll_worker.data.dataset import Samples
from atoll_worker.errors import BadDataError

_MOST_CLASSES = 1000
"""Accepted of small data too; beyond, labels that outnumber the samples are no classes."""
ARRAY_SUFFIXES = (".npz", ".safetensors")


def read_arrays(path: Path) -> Samples:
    """Read `x` (samples first) and `y` (integer labels from 0).

    uint8 values are scaled to [-1, 1]; floats are kept as they are and must be finite.

    Raises:
        BadDataError: the file is damaged, has no `x`, or an array is of the wrong kind.
    """
    arrays = _read_npz(path) if path.suffix.lower() == ".npz" else _read_safetensors(path)
    if "x" not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise BadDataError(f"{path} has no array `x` (found: {found}): save the samples as `x`")
    x_ND, normalisation = _values(path, arrays["x"])
    label_N = _labels(path, arrays["y"], len(x_ND)) if "y" in arrays else None
    num_classes = 0 if label_N is None else int(label_N.max()) + 1
    if num_classes > max(len(x_ND), _MOST_CLASSES):
        raise BadDataError(
            f"{path} has a label {num_classes - 1} in `y`, more than it has samples: number the "
            "classes from 0, or leave `y` out"
        )
    return Samples(x_ND, label_N, tuple(str(c) for c in range(num_classes)), normalisation)


def _read_npz(path: Path) -> Mapping[str, Tensor]:
    try:
        # numpy leaves a file that it opened open when it is damaged
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name in {"x", "y"}}
            names = {name: torch.empty(0) for name in archive.files}
        return names | {name: _native(array) for name, array in arrays.items()}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BadDataError(f"{path} cannot be read: {_first_line(error)}") from error
    except MemoryError as error:  # what a header promises is reserved before a byte is read
        raise BadDataError(
            f"{path} cannot be read, it says it needs more memory than there is: "
            f"{_first_line(error)}"
        ) from error


def _native(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    """A tensor of the array; torch takes no foreign byte order and no wide unsigned integers."""
    if array.dtype.kind in "ui" and array.dtype != np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadDataError(f"{path} cannot be read: {_first_line(error)}") from error


def _values(path: Path, x: Tensor) -> tuple[Tensor, str]:
    if x.ndim < 2:
        raise BadDataError(
            f"{path}: `x` has shape {tuple(x.shape)}, expected (samples, dimensions...): "
            "reshape it to at least two dimensions"
        )
    if x.numel() == 0:
        raise BadDataError(f"{path}: `x` has shape {tuple(x.shape)}: it holds no values")
    if x.dtype == torch.uint8:
        return x.to(torch.float32) / 127.5 - 1, "x / 127.5 - 1"
    if not x.dtype.is_floating_point:
        raise BadDataError(
            f"{path}: `x` is {_name(x.dtype)}: save it as uint8 (0 to 255) or as float32"
        )
    values = x.to(torch.float32).contiguous()
    finite = torch.isfinite(values).flatten(1).all(dim=1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0, 0])
        raise BadDataError(
            f"{path}: `x` has NaN or infinite values, first in sample {first}: "
            "remove or repair them"
        )
    return values, "none"


def _labels(path: Path, y: Tensor, count: int) -> Tensor:
    if y.shape != (count,):
        raise BadDataError(
            f"{path}: `y` has shape {tuple(y.shape)}, expected ({count},): one label a sample"
        )
    if y.dtype.is_floating_point or y.dtype.is_complex or y.dtype == torch.bool:
        raise BadDataError(f"{path}: `y` is {_name(y.dtype)}: save the labels as integers from 0")
    if int(y.min()) < 0:
        raise BadDataError(f"{path}: `y` has the label {int(y.min())}: number the classes from 0")
    return y.to(torch.int64).contiguous()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
