"""Dirichlet parts: every sample once, uneven as asked for, and no island without samples."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from training import DIGITS, SmallJob

from atoll_api import names
from atoll_api.spec.partition import Dirichlet, Partition
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset, Samples, make_dataset
from atoll_worker.data.dirichlet import divide_by_dirichlet
from atoll_worker.data.features import Indices
from atoll_worker.data.load import load
from atoll_worker.data.partition import check_sizes, divide
from atoll_worker.errors import BadDataError
from atoll_worker.roles import partition as role


def dirichlet(alpha: float = 0.1) -> Partition:
    return Partition(type="Dirichlet", dirichlet=Dirichlet(alpha=alpha))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load(DIGITS)


def shares(dataset: Dataset, indices: torch.Tensor, island_N: torch.Tensor) -> Indices:
    """Samples of each class (rows) on each island (columns)."""
    assert dataset.label_N is not None
    pairs = torch.stack([dataset.label_N[indices], island_N])
    counted = np.zeros((10, int(island_N.max()) + 1), dtype=np.int64)
    np.add.at(counted, tuple(pairs.numpy()), 1)
    return counted


@pytest.mark.parametrize("seed", range(6))
def test_eight_islands_have_uneven_digits_and_all_can_train(digits: Dataset, seed: int) -> None:
    assignment = divide(digits, dirichlet(), 8, seed)
    check_sizes(assignment, 32, dirichlet())
    assert sum(assignment.sizes) == len(digits.train)
    assert min(assignment.sizes) >= 2
    assert min(assignment.holdout_sizes) >= 1
    train = shares(digits, digits.train, assignment.train_island_N)
    held = shares(digits, digits.holdout, assignment.holdout_island_N)
    assert ((train > 0).sum(axis=0) <= 9).any(), "some island lacks a class"
    apart = np.abs(train / train.sum(axis=1, keepdims=True) - held / held.sum(1, keepdims=True))
    assert apart.max() < 0.05, "the holdout is divided as the training samples are"


def test_parts_may_be_smaller_than_a_batch_where_others_may_not() -> None:
    assignment = Assignment(
        count=2,
        train_island_N=torch.tensor([0] * 40 + [1] * 2),
        holdout_island_N=torch.tensor([0, 1]),
        fine_cluster_N=None,
        picture_index_P=torch.zeros(0, dtype=torch.int64),
        picture_xy_P2=torch.zeros(0, 2),
    )
    check_sizes(assignment, 32, dirichlet())
    with pytest.raises(BadDataError, match="island 1 would get 2 samples"):
        check_sizes(assignment, 32, Partition(type="Random"))


def test_a_seed_decides_and_another_decides_otherwise(digits: Dataset) -> None:
    one, same, other = (divide(digits, dirichlet(), 4, seed).digest for seed in (1, 1, 2))
    assert one == same != other


def test_the_draw_of_a_seed_does_not_drift(digits: Dataset) -> None:
    assignment = divide(digits, dirichlet(), 8, 0)
    assert assignment.sizes == (179, 89, 198, 257, 244, 2, 157, 311)
    assert assignment.digest.startswith("blake3:9ccd14c6470b8f98")


def test_a_large_alpha_makes_parts_alike(digits: Dataset) -> None:
    assignment = divide(digits, dirichlet(1e4), 4, 0)
    counted = shares(digits, digits.train, assignment.train_island_N)
    assert np.ptp(counted, axis=1).max() <= 6


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 6),
    classes=st.integers(1, 5),
    alpha=st.sampled_from([1e-3, 0.1, 1.0, 1e6]),
)
def test_every_sample_goes_to_one_island(seed: int, count: int, classes: int, alpha: float) -> None:
    generator = np.random.default_rng(seed)
    train, holdout = (generator.integers(classes, size=size) for size in (120, 60))
    try:
        parts = divide_by_dirichlet(train, holdout, count, alpha, seed)
    except BadDataError:
        assume(False)
    for labels, part, least in zip((train, holdout), parts, (2, 1), strict=True):
        assert part.shape == labels.shape
        assert np.bincount(part, minlength=count).min() >= least
        assert part.max() < count


def test_what_cannot_be_served_is_refused_after_a_thousand_draws(digits: Dataset) -> None:
    with pytest.raises(BadDataError, match=r"alpha 1e-06: none of 1000 draws gave each of 11"):
        divide(digits, dirichlet(1e-6), 11, 0)


@pytest.mark.parametrize("alpha", [1e-6, 1e-320])
def test_an_alpha_next_to_nothing_gives_each_class_to_one_island(
    digits: Dataset, alpha: float
) -> None:
    assignment = divide(digits, dirichlet(alpha), 2, 0)
    counted = shares(digits, digits.train, assignment.train_island_N)
    assert (counted > 0).sum() == 10


def test_data_without_labels_are_refused() -> None:
    data = make_dataset(Samples(torch.randn(50, 3), None, (), "none"), 0.2)
    with pytest.raises(BadDataError, match="Dirichlet needs labels"):
        divide(data, dirichlet(), 2, 0)


def test_the_role_publishes_parts_smaller_than_a_batch() -> None:
    job = SmallJob(partition=dirichlet(), count=8, batch_size=256)
    role.run(job.partition_order(), job.context("partition"))
    sizes = job.artifacts.fetch(names.ASSIGNMENT_REF).metadata["sizes"]
    assert isinstance(sizes, list)
    assert min(int(str(size)) for size in sizes) < 256
