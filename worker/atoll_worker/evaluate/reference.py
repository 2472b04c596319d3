"""What samples are compared with: the real ones, seen through the feature net."""

from dataclasses import dataclass

import torch
from torch import Tensor

from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.evaluate.distance import Gaussian, fit, frechet, nearest, shares
from atoll_worker.evaluate.features import FeatureNet, train_feature_net

NEAREST_ROWS = 20_000
"""Training samples, evenly spread, among which the nearest is searched."""


@dataclass(frozen=True)
class Reference:
    """The real samples.

    Attributes:
        net: the feature net.
        train: Gaussian of the training samples' features.
        holdout: Gaussian of the holdout's features.
        label_share_C: share of each label, as the net sees the training samples.
        part_share_K: share of each part.
        neighbour_MD: training samples among which the nearest is searched.
        neighbour_island_M: their islands.
        holdout_nearest: mean distance of a holdout sample to its nearest neighbour.
    """

    net: FeatureNet
    train: Gaussian
    holdout: Gaussian
    label_share_C: Tensor
    part_share_K: Tensor
    neighbour_MD: Tensor
    neighbour_island_M: Tensor
    holdout_nearest: float

    @property
    def floor(self) -> float:
        """Frechet distance of the training samples to the holdout."""
        return frechet(self.train, self.holdout)


def make_reference(dataset: Dataset, assignment: Assignment) -> Reference:
    """Train the feature net on the training samples and describe the real samples with it."""
    x_ND, label_N = dataset.x_ND[dataset.train], dataset.label_N
    net = train_feature_net(
        x_ND, None if label_N is None else label_N[dataset.train], dataset.num_classes
    )
    features_NF = net.features(x_ND)
    stride = torch.linspace(0, len(x_ND) - 1, min(len(x_ND), NEAREST_ROWS)).long()
    holdout_MD = dataset.x_ND[dataset.holdout]
    return Reference(
        net=net,
        train=fit(features_NF),
        holdout=fit(net.features(holdout_MD)),
        label_share_C=shares(net.labels(features_NF), net.num_classes),
        part_share_K=shares(assignment.train_island_N, assignment.count),
        neighbour_MD=x_ND[stride],
        neighbour_island_M=assignment.train_island_N[stride],
        holdout_nearest=float(nearest(holdout_MD, x_ND[stride])[0].mean()),
    )
