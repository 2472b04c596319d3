"""Parts of a text corpus by what it is about, and the part that a new text belongs to.

c-BTM (Gururangan et al., arXiv 2303.14177, section 3.1): tf-idf, a truncated SVD, unit length,
balanced k-means. What was fitted is a `TextClusterer`: tensors and words, no pickle, so that the
evaluation embeds a prefix with the same numbers as the partition embedded the corpus. Pure and
single-threaded.

Shape suffixes: N texts, V words, C components, K parts.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from atoll_worker.data.clusters import balanced_parts
from atoll_worker.data.features import Indices, Matrix, squared_distances
from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.ports import Artifact

_WORD = re.compile(r"\w+|[^\w\s]")
_NUMBER: Final = "#NUMBER"
_MOST_WORDS: Final = 20_000
"""The most frequent ones; the vocabulary travels with the centres."""
_DIGITS_KEPT: Final = 6
"""Decimals of an embedding: a last bit must not decide for a part."""
Counts = NDArray[np.float32]


def words_of(text: bytes) -> list[str]:
    """Words in lower case and single signs; what begins with a digit is one and the same word.

    Bytes that are no UTF-8, as where a text was cut, become U+FFFD.
    """
    found = _WORD.findall(text.decode(errors="replace").lower())
    return [_NUMBER if word[0].isdigit() else word for word in found]


@dataclass(frozen=True)
class TextClusterer:
    """Embeds texts, and knows the centre of each part.

    Attributes:
        words: the vocabulary, in the order of the next two.
        idf_V: float32, ln((1 + N) / (1 + texts with the word)) + 1.
        components_CV: float32, the rows of the SVD.
        centres_KC: float32, the mean embedding of each part.
    """

    words: tuple[str, ...]
    idf_V: Counts
    components_CV: Counts
    centres_KC: Counts

    def embed(self, texts: Sequence[bytes]) -> Matrix:
        """Embeddings (N, C), float64 of unit length; zeros for a text without a known word."""
        return embedded(texts, self.words, self.idf_V, self.components_CV)

    def distances(self, texts: Sequence[bytes]) -> Matrix:
        """Squared Euclidean distances (N, K) to the centres."""
        return squared_distances(self.embed(texts), self.centres_KC.astype(np.float64))

    def to_artifact(self, identity: Mapping[str, JsonValue] | None = None) -> Artifact:
        """The artifact of `clusters`; `identity` says of which division."""
        listed = "\n".join(self.words).encode()  # no word holds a newline
        return Artifact(
            tensors={
                "words": torch.from_numpy(np.frombuffer(listed, dtype=np.uint8).copy()),
                "idf": torch.from_numpy(self.idf_V),
                "components": torch.from_numpy(self.components_CV),
                "centres": torch.from_numpy(self.centres_KC),
            },
            metadata={"role": "partition", **(identity or {})},
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """Read `clusters` back.

        Raises:
            ContractError: tensors that do not fit each other.
        """
        try:
            listed = artifact.tensors["words"].numpy().tobytes().decode()
            idf, components, centres = (
                artifact.tensors[name].numpy().astype(np.float32, casting="no")
                for name in ("idf", "components", "centres")
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ContractError(f"clusters cannot be read ({error}): start a new job") from error
        words = tuple(listed.split("\n"))
        shapes = (idf.shape, components.shape, centres.shape)
        if shapes != ((len(words),), (*centres.shape[1:], len(words)), centres.shape):
            raise ContractError(
                f"clusters of {len(words)} words has tensors of the shapes {shapes}, which do not "
                "fit: start a new job"
            )
        return cls(words, idf, components, centres)


@dataclass(frozen=True)
class TextParts:
    """A division of N texts.

    Attributes:
        part_N: the part of each text.
        embedding_NC: its embedding.
        clusterer: what places other texts.
    """

    part_N: Indices
    embedding_NC: Matrix
    clusterer: TextClusterer


def divide_texts(
    texts: Sequence[bytes], count: int, components: int, seed: int, *, balanced: bool
) -> TextParts:
    """Fit an embedding and centres to texts, and divide them into `count` parts.

    Raises:
        BadDataError: texts too much alike to be divided.
    """
    words, idf_V = _vocabulary(texts)
    components_CV = _components(texts, words, idf_V, components, seed)
    embedding_NC = embedded(texts, words, idf_V, components_CV)
    if len(np.unique(embedding_NC, axis=0)) < count:
        raise _alike(count)
    part_N, centres_KC = balanced_parts(embedding_NC, count, seed, balanced=balanced)
    if len(np.unique(part_N)) < count:
        raise _alike(count)
    clusterer = TextClusterer(words, idf_V, components_CV, centres_KC.astype(np.float32))
    return TextParts(part_N, embedding_NC, clusterer)


def embedded(
    texts: Sequence[bytes], words: Sequence[str], idf_V: Counts, components_CV: Counts
) -> Matrix:
    """Unit tf-idf rows times the components, of unit length and rounded: (N, C)."""
    tfidf_NV = _tfidf(texts, words, idf_V)
    # scipy's product of a sparse and a dense matrix adds in one order, on one thread.
    return np.round(_unit(tfidf_NV @ components_CV.T.astype(np.float64)), _DIGITS_KEPT) + 0.0


def _vocabulary(texts: Sequence[bytes]) -> tuple[tuple[str, ...], Counts]:
    """Words of at least two texts, the most frequent ones, in alphabetical order."""
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(set(words_of(text)))
    shared = [(-times, word) for word, times in seen.items() if times > 1]
    words = tuple(sorted(word for _, word in sorted(shared)[:_MOST_WORDS]))
    times_V = np.array([seen[word] for word in words], dtype=np.float64)
    return words, (np.log((1 + len(texts)) / (1 + times_V)) + 1).astype(np.float32)


def _components(
    texts: Sequence[bytes], words: Sequence[str], idf_V: Counts, components: int, seed: int
) -> Counts:
    rank = min(components, len(words) - 1, len(texts) - 1)
    if rank < 1:
        raise BadDataError(
            "partition.type TextClusters found no words that two samples share: give more text, "
            "or set partition.type: Random"
        )
    with threadpool_limits(limits=1), np.errstate(invalid="ignore"):  # texts that are all the same
        svd = TruncatedSVD(rank, random_state=seed % 2**32).fit(_tfidf(texts, words, idf_V))
    return np.ascontiguousarray(svd.components_, dtype=np.float32)


def _tfidf(texts: Sequence[bytes], words: Sequence[str], idf_V: Counts) -> sparse.csr_matrix:
    place = {word: index for index, word in enumerate(words)}
    columns: list[int] = []
    values: list[float] = []
    ends = [0]
    for text in texts:
        counted = Counter(word for word in words_of(text) if word in place)
        found = sorted((place[word], times) for word, times in counted.items())
        row = np.array([times * float(idf_V[column]) for column, times in found])
        columns += [column for column, _ in found]
        values += (row / max(float(np.sqrt((row**2).sum())), 1e-12)).tolist()
        ends.append(len(columns))
    return sparse.csr_matrix((values, columns, ends), shape=(len(texts), len(words)))


def _unit(rows: Matrix) -> Matrix:
    length_N1 = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    unit: Matrix = rows / np.maximum(length_N1, 1e-12)
    return unit


def _alike(count: int) -> BadDataError:
    return BadDataError(
        f"the texts are too much alike to be divided into {count} parts: lower islands.count or "
        "set partition.type: Random"
    )
