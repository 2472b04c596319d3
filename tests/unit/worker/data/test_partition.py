"""Each sample has one island, parts are even, and the same seed gives the same parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training import DIGITS, save_npz

from atoll_api.spec.partition import FeatureClusters, Partition
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.clusters import size_limit, spill
from atoll_worker.data.dataset import Dataset, Samples, make_dataset
from atoll_worker.data.load import load
from atoll_worker.data.partition import check_sizes, divide
from atoll_worker.errors import BadDataError, ContractError


def clusters(fine: int = 64, *, balanced: bool = True) -> Partition:
    return Partition(
        type="FeatureClusters",
        feature_clusters=FeatureClusters(fine_clusters=fine, balanced=balanced),
    )


CLUSTERS = clusters()


def random_data(count: int, dims: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, dims, generator=generator)
    labels = torch.randint(3, (count,), generator=generator)
    return make_dataset(Samples(x, labels, ("a", "b", "c"), "none"), 0.2)


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(40, 120),
    islands=st.integers(1, 5),
    dims=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_balanced_parts_share_all_samples_within_the_slack(
    count: int, islands: int, dims: int, seed: int
) -> None:
    dataset = random_data(count, dims, seed)
    assignment = divide(dataset, clusters(12), islands, seed)
    assert len(assignment.train_island_N) == len(dataset.train)
    assert len(assignment.holdout_island_N) == len(dataset.holdout)
    assert sum(assignment.sizes) == len(dataset.train)
    assert max(assignment.sizes) <= size_limit(len(dataset.train), islands)
    parts = [assignment.part_artifact(dataset, i).tensors for i in range(islands)]
    owned = torch.cat([part["train"] for part in parts])
    held = torch.cat([part["holdout"] for part in parts])
    assert torch.equal(owned.sort().values, dataset.train)
    assert torch.equal(held.sort().values, dataset.holdout)
    assert not set(owned.tolist()) & set(held.tolist())


@given(weights=st.lists(st.integers(1, 5), min_size=4, max_size=40), parts=st.integers(1, 6))
def test_spilling_never_loads_a_part_beyond_what_it_had_or_the_limit(
    weights: list[int], parts: int
) -> None:
    weight_N = np.array(weights, dtype=np.float64)
    distances = np.abs(np.arange(len(weights))[:, None] - 3.0 * np.arange(parts)[None, :])
    before = distances.argmin(axis=1)
    limit = 1.05 * weight_N.sum() / parts
    after = spill(distances, before, weight_N, limit)
    load_before = np.bincount(before, weights=weight_N, minlength=parts)
    load_after = np.bincount(after, weights=weight_N, minlength=parts)
    assert (load_after <= np.maximum(load_before, limit) + 1e-9).all()


def test_digits_are_balanced_only_when_asked() -> None:
    dataset = load(DIGITS)
    assert divide(dataset, clusters(), 4, 0).imbalance <= 1.05
    assert divide(dataset, clusters(balanced=False), 4, 0).imbalance > 1.1


def test_clusters_follow_the_data_and_random_parts_do_not() -> None:
    dataset = load(DIGITS)
    assert dataset.label_N is not None
    labels = dataset.label_N[dataset.train]

    def purity(assignment: Assignment) -> float:
        counts = torch.zeros(4, 10).index_put_(
            (assignment.train_island_N, labels), torch.ones(len(labels)), accumulate=True
        )
        return float(counts.max(dim=0).values.sum() / len(labels))

    assert purity(divide(dataset, clusters(), 4, 0)) > 0.7
    assert purity(divide(dataset, Partition(type="Random"), 4, 0)) < 0.4


def test_the_holdout_follows_its_neighbours() -> None:
    dataset = load(DIGITS)
    assignment = divide(dataset, clusters(), 4, 0)
    flat = dataset.x_ND.flatten(1)
    distances = torch.cdist(flat[dataset.holdout], flat[dataset.train])
    neighbour = assignment.train_island_N[distances.argmin(dim=1)]
    assert float((neighbour == assignment.holdout_island_N).float().mean()) > 0.85


def test_another_seed_is_another_partition_and_the_same_seed_the_same() -> None:
    dataset = load(DIGITS)
    for partition in (clusters(), Partition(type="Random")):
        first, again, other = (divide(dataset, partition, 4, seed).digest for seed in (0, 0, 1))
        assert first == again != other


def test_by_class_keeps_classes_whole_and_parts_even() -> None:
    dataset = load(DIGITS)
    assignment = divide(dataset, Partition(type="ByClass"), 5, 0)
    assert dataset.label_N is not None
    for label in range(10):
        own = dataset.label_N[dataset.train] == label
        assert len(set(assignment.train_island_N[own].tolist())) == 1
    assert assignment.imbalance < 1.1


def test_by_class_needs_labels_and_enough_of_them(tmp_path: Path) -> None:
    bare = load(save_npz(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(40, 2))))
    with pytest.raises(BadDataError, match="needs labels"):
        divide(bare, Partition(type="ByClass"), 2, 0)
    with pytest.raises(BadDataError, match="10 classes among 11 islands"):
        divide(load(DIGITS), Partition(type="ByClass"), 11, 0)


@pytest.mark.parametrize(
    ("partition", "count", "said"),
    [
        (clusters(), 33, "only 32 training samples"),
        (clusters(64), 2, "fineClusters is 64, but there are only 32"),
        (clusters(4), 5, "fineClusters is 4, fewer than the 5"),
    ],
)
def test_more_parts_than_the_data_can_fill(partition: Partition, count: int, said: str) -> None:
    with pytest.raises(BadDataError, match=said):
        divide(random_data(40, 2, 0), partition, count, 0)


def test_data_without_variance() -> None:
    same = make_dataset(Samples(torch.ones(50, 3), None, (), "none"), 0.2)
    with pytest.raises(BadDataError, match="1 distinct clusters"):
        divide(same, clusters(8), 2, 0)
    assert divide(same, clusters(8), 1, 0).sizes == (40,)
    assert divide(same, Partition(type="Random"), 4, 0).sizes == (10, 10, 10, 10)


def test_a_part_below_one_batch_is_named_with_its_size() -> None:
    assignment = divide(random_data(50, 2, 0), Partition(type="Random"), 4, 0)
    with pytest.raises(BadDataError, match=r"island 0 would get 10 samples.* batch of 16"):
        check_sizes(assignment, 16, CLUSTERS)
    check_sizes(assignment, 10, CLUSTERS)


def test_an_island_without_holdout_is_refused() -> None:
    assignment = divide(random_data(20, 2, 0), Partition(type="Random"), 5, 0)
    with pytest.raises(BadDataError, match=r"island 4 .*data\.holdout"):
        check_sizes(assignment, 1, CLUSTERS)


def test_a_holdout_of_one_sample_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = Samples(torch.randn(90, 2, generator=generator), None, (), "none")
    assignment = divide(make_dataset(samples, 0.01), Partition(type="Random"), 1, 0)
    with pytest.raises(BadDataError, match=r"1 holdout samples have no spread.*data\.holdout"):
        check_sizes(assignment, 16, CLUSTERS)


def test_the_artifact_reads_back_and_knows_its_data() -> None:
    dataset = load(DIGITS)
    assignment = divide(dataset, clusters(), 4, 0)
    artifact = assignment.to_artifact(dataset, "FeatureClusters")
    back = Assignment.from_artifact(artifact, dataset)
    assert back.digest == assignment.digest == artifact.metadata["assignmentHash"]
    assert back.fine_cluster_N is not None
    assert back.train_island_N.dtype == torch.int64
    assert len(back.picture_xy_P2) == len(back.picture_index_P) == 1437
    with pytest.raises(ContractError, match="not the data that were divided"):
        Assignment.from_artifact(artifact, random_data(50, 2, 0))
