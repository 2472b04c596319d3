"""The feature net repeats itself and tells real differences from noise."""

import torch
from torch import Tensor

from atoll_worker.evaluate.distance import fit, frechet
from atoll_worker.evaluate.features import train_feature_net


def blobs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (count,), generator=generator)
    centre = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])[label]
    x = centre + 0.2 * torch.randn(count, 4, generator=generator)
    return x.reshape(count, 1, 2, 2), label


def test_equal_data_give_equal_features_whatever_the_global_seed() -> None:
    x, label = blobs(200, 0)
    torch.manual_seed(1)
    one = train_feature_net(x, label, 3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same = train_feature_net(x, label, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.features(x), same.features(x))
    assert one.features(x).shape == (200, 32)
    assert not one.pseudo_labels


def test_its_labels_are_right_and_its_distance_sees_a_missing_class() -> None:
    x, label = blobs(300, 0)
    net = train_feature_net(x, label, 3)
    fresh, fresh_label = blobs(300, 1)
    right = (net.labels(net.features(fresh)) == fresh_label).double().mean()
    assert right > 0.95
    real, alike = fit(net.features(x)), fit(net.features(fresh))
    without = fit(net.features(fresh[fresh_label != 0]))
    assert frechet(real, without) > 5 * frechet(real, alike)


def test_without_labels_clusters_stand_in() -> None:
    x, _ = blobs(60, 0)
    net = train_feature_net(x, None, 0)
    assert net.pseudo_labels
    assert net.num_classes == 10
    assert len(set(net.labels(net.features(x)).tolist())) > 3
