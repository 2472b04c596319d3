"""A dataset in memory, and its one split into a training part and a holdout. No I/O."""

import math
from dataclasses import dataclass

import blake3
import numpy as np
import torch
from torch import Tensor

from atoll_worker.errors import BadDataError
from atoll_worker.tasks.base import SampleSpec

_SPLIT_SALT = np.uint64(0x41746F6C6C)  # "Atoll"


@dataclass(frozen=True)
class Samples:
    """What a source yields, before it is split.

    Attributes:
        x_ND: float32, finite; uint8 tokens (N, context) for text.
        label_N: int64 in [0, len(class_names)), or None.
        class_names: one name a class, in label order; empty without labels.
        normalisation: what was done to the values, for the manifest.
    """

    x_ND: Tensor
    label_N: Tensor | None
    class_names: tuple[str, ...]
    normalisation: str


@dataclass(frozen=True)
class Dataset:
    """Samples, their split and their identity.

    Attributes:
        x_ND: float32 samples, or uint8 tokens, of shape (N, *sample.shape).
        label_N: int64 labels, or None.
        class_names: one name a class; empty without labels.
        normalisation: what was done to the values.
        train: int64 indices of the training samples, ascending.
        holdout: int64 indices of the samples that nobody trains on, ascending.
        digest: `blake3:<hex>` of values, shape, labels and class names.
    """

    x_ND: Tensor
    label_N: Tensor | None
    class_names: tuple[str, ...]
    normalisation: str
    train: Tensor
    holdout: Tensor
    digest: str

    @property
    def num_classes(self) -> int:
        """0 when the data have no labels."""
        return len(self.class_names)

    @property
    def sample(self) -> SampleSpec:
        """What one sample is."""
        return SampleSpec(shape=tuple(self.x_ND.shape[1:]), num_classes=self.num_classes)


def make_dataset(samples: Samples, holdout: float) -> Dataset:
    """Split samples and name them by their content.

    Raises:
        BadDataError: there are fewer than two samples.
    """
    train, held = split_indices(len(samples.x_ND), holdout)
    return Dataset(
        x_ND=samples.x_ND,
        label_N=samples.label_N,
        class_names=samples.class_names,
        normalisation=samples.normalisation,
        train=train,
        holdout=held,
        digest=content_digest(samples),
    )


def split_indices(count: int, holdout: float) -> tuple[Tensor, Tensor]:
    """Divide `range(count)` into (train, holdout), each ascending int64 and never empty.

    The split depends on the count and the fraction alone, not on the job's seed: scores of
    jobs with different seeds are then scores on the same samples. It is an order of hashes
    (splitmix64), which no library version changes.

    Raises:
        BadDataError: fewer than two samples.
    """
    if count < 2:
        raise BadDataError(
            f"the data have {count} sample: at least 2 are needed, one to train on and one to "
            "hold out"
        )
    order = np.argsort(_splitmix64(np.arange(count, dtype=np.uint64)), kind="stable")
    size = min(max(1, math.ceil(count * holdout)), count - 1)
    held, train = np.sort(order[:size]), np.sort(order[size:])
    return torch.from_numpy(train.astype(np.int64)), torch.from_numpy(held.astype(np.int64))


def content_digest(samples: Samples) -> str:
    """Digest of what a model can see of the data: equal data have equal digests."""
    hasher = blake3.blake3()
    hasher.update(repr((tuple(samples.x_ND.shape), samples.class_names)).encode())
    hasher.update(samples.x_ND.contiguous().numpy().tobytes())
    if samples.label_N is not None:
        hasher.update(samples.label_N.contiguous().numpy().tobytes())
    return f"blake3:{hasher.hexdigest()}"


def _splitmix64(
    values: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014."""
    z = (values + _SPLIT_SALT) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
