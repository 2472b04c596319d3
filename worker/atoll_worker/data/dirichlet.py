"""Shares of each class from a Dirichlet distribution (Hsu et al., arXiv 1909.06335).

Pure: numbers of samples in, islands out. The smaller alpha, the fewer classes an island has.
"""

import numpy as np

from atoll_worker.data.features import Indices, Matrix
from atoll_worker.errors import BadDataError

LEAST_SAMPLES = 2
"""Training samples of an island, at least. Batches are drawn with replacement, so that fewer than
a batch can be trained on; with one alone there is nothing to tell apart."""
_MOST_DRAWS = 1000


def divide_by_dirichlet(
    train_label_N: Indices, holdout_label_N: Indices, count: int, alpha: float, seed: int
) -> tuple[Indices, Indices]:
    """Deal the samples of each class by shares drawn for it; the holdout by the same shares.

    A draw that leaves an island with fewer than two training samples, or none to be judged on, is
    repeated.

    Args:
        train_label_N: class of each training sample.
        holdout_label_N: class of each holdout sample.
        count: islands.
        alpha: concentration, the same for all islands.
        seed: of the draw.

    Returns:
        The island of each training sample, and of each holdout sample.

    Raises:
        BadDataError: no draw in a thousand served all islands.
    """
    generator = np.random.default_rng(seed)
    classes = int(max(train_label_N.max(), holdout_label_N.max())) + 1
    for _ in range(_MOST_DRAWS):
        share_CK = generator.dirichlet(np.full(count, alpha), size=classes)
        train, holdout = (_counts(it, share_CK) for it in (train_label_N, holdout_label_N))
        if train.sum(axis=0).min() >= LEAST_SAMPLES and holdout.sum(axis=0).min() >= 1:
            return (
                _deal(train_label_N, train, generator),
                _deal(holdout_label_N, holdout, generator),
            )
    raise BadDataError(
        f"partition.dirichlet.alpha {alpha:g}: none of {_MOST_DRAWS} draws gave each of {count} "
        f"islands {LEAST_SAMPLES} training samples and one to be judged on: raise alpha or "
        "data.holdout, or lower islands.count"
    )


def _counts(label_N: Indices, share_CK: Matrix) -> Indices:
    """Samples of each class (rows) for each island (columns): every sample exactly once."""
    size_C1 = np.bincount(label_N, minlength=len(share_CK))[:, None]
    ends_CK = np.rint(np.cumsum(share_CK, axis=1) * size_C1).astype(np.int64)
    ends_CK[:, -1:] = size_C1
    return np.diff(ends_CK, axis=1, prepend=0)


def _deal(label_N: Indices, count_CK: Indices, generator: np.random.Generator) -> Indices:
    """The island of each sample: which of a class go where is drawn as well."""
    island_N = np.empty(len(label_N), dtype=np.int64)
    islands_K = np.arange(count_CK.shape[1])
    for label, count_K in enumerate(count_CK):
        island_N[label_N == label] = generator.permutation(np.repeat(islands_K, count_K))
    return island_N
