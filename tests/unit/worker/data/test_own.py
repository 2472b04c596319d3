"""Data that an island brings: classes by name, and nothing that does not fit."""

import dataclasses
from typing import Any

import pytest
import torch

from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset, Samples, make_dataset
from atoll_worker.data.own import fitted
from atoll_worker.errors import BadDataError
from atoll_worker.ports import Artifact


def dataset(names: tuple[str, ...], labels: list[int] | None, **changes: Any) -> Dataset:
    count = 6 if labels is None else len(labels)
    label_N = None if labels is None else torch.tensor(labels)
    samples = Samples(torch.randn(count, 1, 4, 4), label_N, names, "x / 127.5 - 1")
    return make_dataset(dataclasses.replace(samples, **changes), 0.5)


def agreed(names: tuple[str, ...] = ("cat", "dog", "owl")) -> Artifact:
    shared = dataset(names, [0, 1, 2, 0] if names else None)
    return Assignment.of_nobody(shared, 3).agreement(shared, 1)


def test_classes_go_by_their_names() -> None:
    own = fitted(dataset(("dog", "owl"), [1, 0, 0, 1]), agreed())
    assert own.label_N is not None
    assert own.label_N.tolist() == [2, 1, 1, 2]
    assert own.class_names == ("cat", "dog", "owl")


def test_a_class_without_a_sample_is_no_class() -> None:
    own = fitted(dataset(("bee", "dog"), [1, 1]), agreed())
    assert own.label_N is not None
    assert own.label_N.tolist() == [1, 1]


def test_labels_that_nobody_else_has_are_left_out() -> None:
    own = fitted(dataset(("dog", "owl"), [1, 0]), agreed(()))
    assert own.label_N is None
    assert own.class_names == ()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (dataset(("bee", "dog"), [0, 1]), "the class 'bee', which evaluation.data have not"),
        (dataset((), None), "have no labels and evaluation.data have"),
        (dataset(("cat",), [0, 0], x_ND=torch.randn(2, 1, 5, 5)), "have the shape"),
        (dataset(("cat",), [0, 0], normalisation="none"), "are scaled by 'none'"),
    ],
)
def test_data_that_do_not_fit_are_refused(own: Dataset, expected: str) -> None:
    with pytest.raises(BadDataError, match=expected):
        fitted(own, agreed())


def test_an_agreement_says_nothing_of_sizes() -> None:
    shared = dataset(("cat", "dog"), [0, 1, 0, 1])
    assignment = Assignment.of_nobody(shared, 3)
    assert not assignment.divided
    said = assignment.to_artifact(shared, "PerIsland").metadata
    assert "sizes" not in said
    assert said["count"] == 3
