"""Parts of nearly equal size that follow the data's clusters. Pure and single-threaded.

Fine k-means, then coarse clusters of the fine centres, as Decentralized Diffusion Models
(McAllister et al., arXiv 2501.05450, section 3.2) take them from MoDE (Ma et al., CVPR 2024); a
sample inherits the coarse cluster of its fine one. The balance is ours: unbalanced, digits gave
an island 59 of 1437 samples.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from atoll_worker.data.features import Indices, Matrix, squared_distances
from atoll_worker.errors import BadDataError

SLACK = 1.05
"""A balanced part holds at most this many times its equal share."""
_ROUNDS = 50


@dataclass(frozen=True)
class Clusters:
    """The result of clustering N samples.

    Attributes:
        fine_N: fine cluster of each sample.
        centres_FC: features of the fine centres.
        coarse_N: part of each sample.
    """

    fine_N: Indices
    centres_FC: Matrix
    coarse_N: Indices

    def nearest_part(self, features: Matrix) -> Indices:
        """The part of samples that were not clustered: most of their nearest fine cluster's."""
        fine = squared_distances(features, self.centres_FC).argmin(axis=1)
        num_parts = int(self.coarse_N.max()) + 1
        counts = np.zeros((len(self.centres_FC), num_parts), dtype=np.int64)
        np.add.at(counts, (self.fine_N, self.coarse_N), 1)
        owner: Indices = counts.argmax(axis=1)[fine].astype(np.int64)
        return owner


def cluster(
    features: Matrix, num_parts: int, num_fine: int, seed: int, *, balanced: bool
) -> Clusters:
    """Divide samples into parts by their features (N, C).

    Raises:
        BadDataError: more clusters than samples, or fewer distinct clusters than parts.
    """
    _check_counts(len(features), num_parts, num_fine)
    fine_N, centres_FC = _kmeans(features, np.ones(len(features)), num_fine, seed)
    kept, fine_N = np.unique(fine_N, return_inverse=True)
    centres_FC = np.ascontiguousarray(centres_FC[kept])
    if len(kept) < num_parts:
        raise BadDataError(
            f"the data fall into {len(kept)} distinct clusters, fewer than the {num_parts} "
            "islands: lower islands.count or set partition.type: Random"
        )
    sizes = np.bincount(fine_N).astype(np.float64)
    coarse_F, centres_KC = _kmeans(centres_FC, sizes, num_parts, seed)
    if balanced:
        limit = SLACK * sizes.sum() / num_parts
        coarse_F, centres_KC = _balance_centres(centres_FC, sizes, centres_KC, limit)
    coarse_N = coarse_F[fine_N]
    if balanced:
        distances = squared_distances(features, centres_KC)
        coarse_N = spill(
            distances, coarse_N, np.ones(len(features)), size_limit(len(features), num_parts)
        )
    return Clusters(fine_N.astype(np.int64), centres_FC, coarse_N)


def balanced_parts(
    points: Matrix, num_parts: int, seed: int, *, balanced: bool
) -> tuple[Indices, Matrix]:
    """k-means over the samples (N, C) themselves, with parts of nearly equal size where asked for.

    Returns:
        The part of each sample, and the mean (num_parts, C) of each part.
    """
    weights = np.ones(len(points))
    part_N, centres_KC = _kmeans(points, weights, num_parts, seed)
    if not balanced:
        return part_N, centres_KC
    limit = size_limit(len(points), num_parts)
    return _balance_centres(points, weights, centres_KC, limit)


def size_limit(num_samples: int, num_parts: int) -> int:
    """The most samples of a balanced part: within the slack, and never too few for all."""
    return max(math.ceil(num_samples / num_parts), math.floor(SLACK * num_samples / num_parts))


def spill(distances: Matrix, owner_N: Indices, weight_N: Matrix, limit: float) -> Indices:
    """Move items out of overfull parts, those that lose least first.

    Args:
        distances: (N, K), the cost of an item in a part.
        owner_N: the part of each item now.
        weight_N: what an item adds to its part.
        limit: the most that a part may weigh.

    Returns:
        New owners. With unit weights and `K * limit >= N`, no part is above the limit; with
        other weights, as near to it as moving whole items one by one comes.
    """
    owner_N = owner_N.copy()
    load_K = np.bincount(owner_N, weights=weight_N, minlength=distances.shape[1]).astype(np.float64)
    stuck: set[int] = set()
    while True:
        over = [part for part in np.argsort(-load_K, kind="stable") if part not in stuck]
        if not over or load_K[over[0]] <= limit:
            return owner_N
        if not _relieve(int(over[0]), distances, owner_N, weight_N, load_K, limit):
            stuck.add(int(over[0]))


def _relieve(  # one argument a quantity of the problem
    part: int, distances: Matrix, owner_N: Indices, weight_N: Matrix, load_K: Matrix, limit: float
) -> bool:
    """Move items from one part, in place, until it fits or its targets fill up."""
    members = np.flatnonzero(owner_N == part)
    free = np.flatnonzero(load_K < limit)
    free = free[free != part]
    if not len(free):
        return False
    costs = distances[np.ix_(members, free)]
    best = costs.argmin(axis=1)
    regret = costs[np.arange(len(members)), best] - distances[members, part]
    moved = False
    for row in np.argsort(regret, kind="stable"):
        item, target = members[row], free[best[row]]
        if load_K[part] <= limit:
            break
        if load_K[target] + weight_N[item] <= limit:
            owner_N[item] = target
            load_K[target] += weight_N[item]
            load_K[part] -= weight_N[item]
            moved = True
    return moved


def _balance_centres(
    centres_FC: Matrix, sizes: Matrix, start_KC: Matrix, limit: float
) -> tuple[Indices, Matrix]:
    """Lloyd's rounds with spilling, over fine centres that weigh as much as their samples."""
    centres_KC = start_KC
    owner_F = np.full(len(centres_FC), -1, dtype=np.int64)
    for _ in range(_ROUNDS):
        distances = squared_distances(centres_FC, centres_KC)
        nearest = spill(distances, distances.argmin(axis=1).astype(np.int64), sizes, limit)
        if (nearest == owner_F).all():
            break
        owner_F = nearest
        centres_KC = _means(centres_FC, sizes, owner_F, centres_KC)
    return owner_F, centres_KC


def _means(points: Matrix, weights: Matrix, owner: Indices, previous: Matrix) -> Matrix:
    """Weighted mean of each part's points; a part without points keeps its centre."""
    means = previous.copy()
    for part in np.unique(owner):
        own = owner == part
        means[part] = np.average(points[own], axis=0, weights=weights[own])
    return means


def _kmeans(points: Matrix, weights: Matrix, count: int, seed: int) -> tuple[Indices, Matrix]:
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Fewer distinct points than clusters leaves empty clusters, which are dropped.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(count, n_init=4, random_state=seed % 2**32).fit(
            points, sample_weight=weights
        )
    return model.labels_.astype(np.int64), model.cluster_centers_


def _check_counts(num_samples: int, num_parts: int, num_fine: int) -> None:
    if num_fine > num_samples:
        raise BadDataError(
            f"partition.featureClusters.fineClusters is {num_fine}, but there are only "
            f"{num_samples} training samples: lower it"
        )
    if num_fine < num_parts:
        raise BadDataError(
            f"partition.featureClusters.fineClusters is {num_fine}, fewer than the {num_parts} "
            "islands: raise it"
        )
