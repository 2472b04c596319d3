"""The fixed feature net in which samples are compared.

A small tanh classifier trained here, on the training samples, with a seed of its own: equal
data give equal features whatever the job's seed. Tanh, because distances in ReLU features were
10 to 20 % noisier than the differences to be measured.

Shape suffixes: N samples, D the sample's own dimensions, F features.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.training import Optimizer
from atoll_worker.train.optimizer import AdamW

HIDDEN, FEATURES, PSEUDO_CLASSES = 128, 32, 10
SEED = 20260
STEPS, BATCH = 1500, 128
OPTIMIZER = Optimizer(learning_rate=2e-3, weight_decay=0.01)


@dataclass(frozen=True)
class FeatureNet:
    """Features and labels of samples."""

    body: nn.Module
    head: nn.Module
    num_classes: int
    pseudo_labels: bool
    """The classes are k-means clusters, since the data have no labels."""

    def features(self, x_ND: Tensor) -> Tensor:
        """(N, 32) tanh activations of samples (N, ...)."""
        with torch.inference_mode():
            features_NF: Tensor = self.body(x_ND.flatten(1))
        return features_NF

    def labels(self, features_NF: Tensor) -> Tensor:
        """The most probable class (N,) of each row of features."""
        with torch.inference_mode():
            label_N: Tensor = self.head(features_NF).argmax(dim=1)
        return label_N


def train_feature_net(x_ND: Tensor, label_N: Tensor | None, num_classes: int) -> FeatureNet:
    """Train the net on real samples (N, ...) and their labels (N,), or on k-means labels.

    The same input gives the same net, bit for bit, on one thread.
    """
    target_N, classes = label_N, num_classes
    if target_N is None:
        classes = min(PSEUDO_CLASSES, len(x_ND))
        target_N = _clusters(x_ND, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = FeatureNet(_body(math.prod(x_ND.shape[1:])), nn.Linear(FEATURES, classes), classes,
                         label_N is None)  # fmt: skip
    _fit(net, x_ND.flatten(1), target_N)
    return net


def _body(inputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, FEATURES), nn.Tanh()
    )


def _fit(net: FeatureNet, x_NF: Tensor, target_N: Tensor) -> None:
    generator = torch.Generator().manual_seed(SEED)
    parameters = [*net.body.parameters(), *net.head.parameters()]
    optimizer = AdamW(parameters, OPTIMIZER, "fused")
    for _ in range(STEPS):
        rows = torch.randint(len(x_NF), (BATCH,), generator=generator)
        loss = F.cross_entropy(net.head(net.body(x_NF[rows])), target_N[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _clusters(x_ND: Tensor, count: int) -> Tensor:
    with threadpool_limits(1):
        found = KMeans(count, n_init=1, random_state=0).fit_predict(
            x_ND.flatten(1).double().numpy()
        )
    return torch.from_numpy(found.astype(np.int64))
