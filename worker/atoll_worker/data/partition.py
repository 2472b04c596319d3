"""Divide a dataset among islands: pure decisions, the same on every machine and thread count."""

import numpy as np
import torch

from atoll_api.spec.partition import Dirichlet, FeatureClusters, Partition
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.clusters import cluster
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.dirichlet import LEAST_SAMPLES, divide_by_dirichlet
from atoll_worker.data.features import Indices, Matrix, principal_components
from atoll_worker.errors import BadDataError
from atoll_worker.train.seeds import derive

_COMPONENTS = 32
_PICTURE_POINTS = 2000


def divide(dataset: Dataset, partition: Partition, count: int, seed: int) -> Assignment:
    """Give every sample to exactly one of `count` islands.

    Raises:
        BadDataError: more islands than samples or classes, or settings that do not fit the data.
    """
    if count > len(dataset.train):
        raise BadDataError(
            f"islands.count is {count}, but there are only {len(dataset.train)} training samples: "
            "lower islands.count"
        )
    features = principal_components(dataset.x_ND, dataset.train, _COMPONENTS)
    seed = derive(seed, "partition")
    fine: Indices | None = None
    match partition.type:
        case "FeatureClusters":
            settings = partition.feature_clusters or FeatureClusters()
            train, holdout, fine = _by_features(dataset, features, settings, count, seed)
        case "Random":
            train, holdout = _at_random(dataset, count, seed)
        case "ByClass":
            train, holdout = _by_class(dataset, count)
        case "Dirichlet":
            alpha = (partition.dirichlet or Dirichlet()).alpha
            labels = _labels(dataset, "Dirichlet")
            own, held = labels[dataset.train.numpy()], labels[dataset.holdout.numpy()]
            train, holdout = divide_by_dirichlet(own, held, count, alpha, seed)
    index, xy = picture(features[dataset.train.numpy()])
    return Assignment(
        count=count,
        train_island_N=torch.from_numpy(train),
        holdout_island_N=torch.from_numpy(holdout),
        fine_cluster_N=None if fine is None else torch.from_numpy(fine),
        picture_index_P=torch.from_numpy(index),
        picture_xy_P2=torch.from_numpy(xy.astype(np.float32)),
    )


def check_sizes(assignment: Assignment, batch_size: int, partition: Partition) -> None:
    """Refuse parts that cannot be trained or judged.

    A Dirichlet partition is uneven on purpose: there a part may be smaller than a batch.

    Raises:
        BadDataError: an island has less than one batch, or nothing to be judged on.
    """
    least = LEAST_SAMPLES if partition.type == "Dirichlet" else batch_size
    for island, size in enumerate(assignment.sizes):
        if size < least:
            raise BadDataError(
                f"island {island} would get {size} samples, less than one batch of {batch_size}: "
                "lower islands.count or training.batchSizePerIsland, or set "
                "partition.featureClusters.balanced: true"
            )
    held_out = sum(assignment.holdout_sizes)
    if held_out < 2:
        raise BadDataError(
            f"{held_out} holdout samples have no spread to compare samples with: raise data.holdout"
        )
    for island, size in enumerate(assignment.holdout_sizes):
        if size == 0:
            raise BadDataError(
                f"island {island} would get no holdout sample to be judged on: raise data.holdout "
                "or lower islands.count"
            )


def _by_features(
    dataset: Dataset, features: Matrix, settings: FeatureClusters, count: int, seed: int
) -> tuple[Indices, Indices, Indices]:
    own = features[dataset.train.numpy()]
    parts = cluster(own, count, settings.fine_clusters, seed, balanced=settings.balanced)
    return parts.coarse_N, parts.nearest_part(features[dataset.holdout.numpy()]), parts.fine_N


def _at_random(dataset: Dataset, count: int, seed: int) -> tuple[Indices, Indices]:
    generator = torch.Generator().manual_seed(seed)

    def deal(size: int) -> Indices:
        return (torch.randperm(size, generator=generator) % count).numpy().astype(np.int64)

    return deal(len(dataset.train)), deal(len(dataset.holdout))


def _by_class(dataset: Dataset, count: int) -> tuple[Indices, Indices]:
    """The largest class not dealt yet goes to the island with the fewest samples so far."""
    labels = _labels(dataset, "ByClass")
    sizes = np.bincount(labels[dataset.train.numpy()], minlength=dataset.num_classes)
    if np.count_nonzero(sizes) < count:
        raise BadDataError(
            f"partition.type ByClass cannot divide {np.count_nonzero(sizes)} classes among "
            f"{count} islands: lower islands.count or set partition.type: FeatureClusters"
        )
    load = np.zeros(count, dtype=np.int64)
    island_of_class = np.zeros(dataset.num_classes, dtype=np.int64)
    for label in np.argsort(-sizes, kind="stable"):
        island = int(load.argmin())
        island_of_class[label] = island
        load[island] += sizes[label]
    return (
        island_of_class[labels[dataset.train.numpy()]],
        island_of_class[labels[dataset.holdout.numpy()]],
    )


def _labels(dataset: Dataset, partition_type: str) -> Indices:
    if dataset.label_N is None:
        raise BadDataError(
            f"partition.type {partition_type} needs labels and the data have none: put the images "
            "into a subfolder a class, add an array `y`, or set partition.type: FeatureClusters"
        )
    return dataset.label_N.numpy()


def picture(features: Matrix) -> tuple[Indices, Matrix]:
    """Points spread evenly over the training samples, and their first two components."""
    total = len(features)
    index = np.unique(np.linspace(0, total - 1, min(total, _PICTURE_POINTS)).astype(np.int64))
    xy = np.zeros((len(index), 2))
    width = min(2, features.shape[1])
    xy[:, :width] = features[index, :width]
    return index, np.round(xy, 4)
