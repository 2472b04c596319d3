"""Parts of text: by what it is about, balanced, repeatable, and readable elsewhere."""

import numpy as np
import pytest
import torch

from atoll_api.spec.partition import TextClusters
from atoll_worker.data.dataset import Dataset, make_dataset
from atoll_worker.data.text import Corpus, samples_of
from atoll_worker.data.text_clusters import TextClusterer, TextParts, divide_texts, words_of
from atoll_worker.data.text_partition import divide_text
from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.ports import Artifact
from atoll_worker.tasks.base import SampleSpec

TOPICS = (
    ["apple", "pear", "plum", "cherry", "grape", "melon", "quince", "fig"],
    ["hammer", "saw", "drill", "wrench", "pliers", "chisel", "file", "nail"],
    ["cloud", "rain", "snow", "hail", "storm", "wind", "fog", "thunder"],
)


def corpus(sizes: tuple[int, ...] = (30, 30, 30), words: int = 12) -> list[bytes]:
    generator = np.random.default_rng(0)
    return [
        " ".join(generator.choice(TOPICS[topic], words)).encode()
        for topic, size in enumerate(sizes)
        for _ in range(size)
    ]


def parts(texts: list[bytes], count: int = 3, *, balanced: bool = True) -> TextParts:
    return divide_texts(texts, count, components=8, seed=5, balanced=balanced)


def text_dataset(context: int = 48) -> Dataset:
    return make_dataset(samples_of(Corpus("here", corpus(words=40), "made up"), context), 0.2)


def test_words_signs_and_numbers() -> None:
    assert words_of(b"If x1 >= 0x2F: 3.5") == [
        *("if", "x1", ">", "=", "#NUMBER", ":", "#NUMBER", ".", "#NUMBER")
    ]


def test_a_cut_character_is_a_word_of_its_own() -> None:
    assert words_of("\u00e9".encode()[1:] + b" a") == ["\ufffd", "a"]


def test_parts_are_the_topics() -> None:
    found = parts(corpus())
    by_topic = found.part_N.reshape(3, 30)
    assert all(len(set(row)) == 1 for row in by_topic)
    assert len(set(by_topic[:, 0])) == 3
    assert np.allclose((found.embedding_NC**2).sum(axis=1), 1, atol=1e-5)


def test_balanced_parts_are_within_the_slack_and_others_are_not() -> None:
    texts = corpus((60, 15, 15))
    assert np.bincount(parts(texts).part_N).max() <= 32  # 1.05 x 30, and whole texts
    assert np.bincount(parts(texts, balanced=False).part_N).max() == 60


def test_equal_seeds_give_equal_parts() -> None:
    first, second = parts(corpus()), parts(corpus())
    assert (first.part_N == second.part_N).all()
    assert (
        first.clusterer.to_artifact()
        .tensors["centres"]
        .equal(second.clusterer.to_artifact().tensors["centres"])
    )


def test_what_was_published_embeds_new_texts_with_the_same_numbers() -> None:
    clusterer = parts(corpus()).clusterer
    again = TextClusterer.from_artifact(clusterer.to_artifact())
    new = [b"rain and snow on a 17th", b"", b"nothing known", b"saw, drill; saw"]
    assert (again.embed(new) == clusterer.embed(new)).all()
    assert (again.distances(new) == clusterer.distances(new)).all()
    assert not again.embed(new)[1:3].any()


def test_a_prefix_is_nearest_to_its_topic() -> None:
    found = parts(corpus())
    prefixes = [text[:20] for text in corpus()]
    assert (found.clusterer.distances(prefixes).argmin(axis=1) == found.part_N).all()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([b"one", b"two", b"three"], "no words that two samples share"),
        ([b"the same words"] * 9, "too much alike to be divided into 3 parts"),
    ],
)
def test_texts_that_cannot_be_divided(texts: list[bytes], said: str) -> None:
    with pytest.raises(BadDataError, match=said):
        parts(texts)


@pytest.mark.parametrize(
    "changes",
    [
        {"idf": torch.zeros(2)},
        {"idf": torch.zeros(24, dtype=torch.float64)},
        {"centres": torch.zeros(3)},
        {"words": torch.tensor([255], dtype=torch.uint8)},
        {"components": torch.zeros(8, 3)},
    ],
)
def test_clusters_that_do_not_fit_are_refused(changes: dict[str, torch.Tensor]) -> None:
    artifact = parts(corpus()).clusterer.to_artifact()
    with pytest.raises(ContractError, match="clusters"):
        TextClusterer.from_artifact(Artifact({**artifact.tensors, **changes}))


def test_a_dataset_of_text_is_divided_like_its_texts() -> None:
    dataset = text_dataset()
    assignment, clusterer = divide_text(dataset, TextClusters(components=8), 3, seed=0)
    assert assignment.imbalance <= 1.06
    nearest = clusterer.distances([dataset.x_ND[i].numpy().tobytes() for i in dataset.holdout])
    assert assignment.holdout_island_N.tolist() == nearest.argmin(axis=1).tolist()
    again, _ = divide_text(dataset, TextClusters(components=8), 3, seed=0)
    assert again.digest == assignment.digest
    other, _ = divide_text(dataset, TextClusters(components=8), 3, seed=1)
    assert sorted(other.sizes) == pytest.approx(sorted(assignment.sizes), abs=6)


def test_numbers_are_not_divided_as_text() -> None:
    dataset = text_dataset()
    numbers = Dataset(**{**vars(dataset), "x_ND": dataset.x_ND.float()})
    assert numbers.sample == SampleSpec((48,), 0)
    with pytest.raises(BadDataError, match="these data are numbers"):
        divide_text(numbers, TextClusters(), 3, seed=0)
