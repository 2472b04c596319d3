"""From `spec.data` to a dataset: one place that knows the kinds of source."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from atoll_api.spec.data import Data
from atoll_worker.data.arrays import ARRAY_SUFFIXES, read_arrays
from atoll_worker.data.dataset import Dataset, Samples, make_dataset
from atoll_worker.data.images import read_image_folder
from atoll_worker.data.text import read_text, samples_of
from atoll_worker.errors import BadDataError


def load(data: Data, context: int | None = None) -> Dataset:
    """Read the data a job names. The same files give the same dataset, in the same order.

    Args:
        data: where they are.
        context: tokens of one sample of text, `spec.task.context`; None: they are not text.

    Raises:
        BadDataError: the source is missing, empty, damaged or of the wrong shape.
    """
    samples = _read(data) if context is None else _read_text(data, context)
    return make_dataset(samples, data.holdout)


def _read_text(data: Data, context: int) -> Samples:
    _refuse_image_size(data)
    return samples_of(read_text(data.source), context)


def _read(data: Data) -> Samples:
    scheme, _, rest = data.source.partition("://")
    if scheme == "builtin":
        return _read_builtin(rest, data)
    path = Path(rest)
    if not path.exists():
        raise BadDataError(f"data.source: {path} does not exist: check the path")
    if path.is_dir():
        return read_image_folder(path, data.image_size)
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise BadDataError(
            f"data.source: {path} is neither a folder of images nor an .npz or .safetensors file"
        )
    _refuse_image_size(data)
    return read_arrays(path)


def _read_builtin(name: str, data: Data) -> Samples:
    if name != "digits":
        raise BadDataError(
            f"data.source: no builtin data {name!r} that are numbers: use builtin://digits"
        )
    _refuse_image_size(data)
    rows = torch.from_numpy(np.loadtxt(_digits_file(), delimiter=",", dtype=np.float32))
    return Samples(
        x_ND=rows[:, :-1].reshape(-1, 1, 8, 8) / 8 - 1,
        label_N=rows[:, -1].to(torch.int64),
        class_names=tuple(str(digit) for digit in range(10)),
        normalisation="x / 8 - 1",
    )


def _digits_file() -> Path:
    """The file of scikit-learn's digits, found without importing scikit-learn.

    The import takes 2.5 CPU-seconds in each process of a job whose islands train for 3.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise BadDataError("data.source: builtin://digits needs scikit-learn: install it")
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def _refuse_image_size(data: Data) -> None:
    if data.image_size is not None:
        raise BadDataError(
            f"data.imageSize: {data.source} is no folder of images: remove data.imageSize"
        )
