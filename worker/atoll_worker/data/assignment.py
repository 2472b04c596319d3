"""Which sample belongs to which island: the artifact that freezes it.

Where each island brings its own data nobody knows that: all that is frozen is what they agreed on.
"""

from dataclasses import dataclass
from typing import Final, Self

import blake3
import torch
from pydantic import JsonValue
from torch import Tensor

from atoll_worker.data.dataset import Dataset
from atoll_worker.errors import ContractError
from atoll_worker.ports import Artifact

NOBODY: Final = -1
"""The island of a sample that no island trains on."""


@dataclass(frozen=True)
class Assignment:
    """Every sample's island, in dataset order.

    Attributes:
        count: islands.
        train_island_N: int64, island of each training sample, in the order of `dataset.train`;
            all NOBODY where islands bring their own data.
        holdout_island_N: int64, the same for `dataset.holdout`.
        fine_cluster_N: int64, fine cluster of each training sample; None without clusters.
        picture_index_P: int64 positions in `dataset.train` of the points of the picture.
        picture_xy_P2: float32, first two principal components of those, in [-1, 1].
    """

    count: int
    train_island_N: Tensor
    holdout_island_N: Tensor
    fine_cluster_N: Tensor | None
    picture_index_P: Tensor
    picture_xy_P2: Tensor

    @classmethod
    def of_nobody(cls, dataset: Dataset, count: int) -> Self:
        """Data that only judge: `count` islands bring their own."""
        return cls(
            count=count,
            train_island_N=torch.full((len(dataset.train),), NOBODY),
            holdout_island_N=torch.full((len(dataset.holdout),), NOBODY),
            fine_cluster_N=None,
            picture_index_P=torch.empty(0, dtype=torch.int64),
            picture_xy_P2=torch.empty(0, 2),
        )

    @property
    def divided(self) -> bool:
        """Whether these data are trained on."""
        return bool((self.train_island_N != NOBODY).any())

    @property
    def sizes(self) -> tuple[int, ...]:
        """Training samples of each island."""
        return tuple(torch.bincount(self.train_island_N, minlength=self.count).tolist())

    @property
    def holdout_sizes(self) -> tuple[int, ...]:
        """Holdout samples of each island."""
        return tuple(torch.bincount(self.holdout_island_N, minlength=self.count).tolist())

    @property
    def imbalance(self) -> float:
        """Largest part over the mean part; 1 is perfect."""
        return max(self.sizes) * self.count / sum(self.sizes)

    @property
    def digest(self) -> str:
        """Digest of who owns what; equal partitions have equal digests."""
        hasher = blake3.blake3()
        for islands in (self.train_island_N, self.holdout_island_N):
            hasher.update(len(islands).to_bytes(8, "little"))
            hasher.update(islands.contiguous().numpy().astype("<i8").tobytes())
        return f"blake3:{hasher.hexdigest()}"

    def to_artifact(self, dataset: Dataset, partition_type: str) -> Artifact:
        """The artifact of `assignment`, which the router and the evaluation read."""
        tensors = {
            "island_of_sample": self.train_island_N,
            "island_of_holdout": self.holdout_island_N,
            "picture_index": self.picture_index_P,
            "picture_xy": self.picture_xy_P2,
        }
        if self.fine_cluster_N is not None:
            tensors["fine_cluster"] = self.fine_cluster_N
        metadata: dict[str, JsonValue] = {
            "role": "partition",
            "partition": partition_type,
            "count": self.count,
            "normalisation": dataset.normalisation,
            **(self._measures() if self.divided else {}),
            **self.identity(dataset),
        }
        return Artifact(tensors=tensors, metadata=metadata)

    def part_artifact(self, dataset: Dataset, island: int) -> Artifact:
        """The artifact of `assignment/<island>`: the samples of that island and no other's."""
        return Artifact(
            tensors={
                "train": dataset.train[self.train_island_N == island],
                "holdout": dataset.holdout[self.holdout_island_N == island],
            },
            metadata={"role": "partition", "island": island, **self.identity(dataset)},
        )

    def agreement(self, dataset: Dataset, island: int) -> Artifact:
        """The artifact of `assignment/<island>` for an island that brings its own data."""
        metadata: dict[str, JsonValue] = {
            "role": "partition",
            "island": island,
            "normalisation": dataset.normalisation,
            **self.identity(dataset),
        }
        return Artifact(tensors={}, metadata=metadata)

    def _measures(self) -> dict[str, JsonValue]:
        return {
            "sizes": list(self.sizes),
            "holdoutSizes": list(self.holdout_sizes),
            "imbalance": self.imbalance,
        }

    def identity(self, dataset: Dataset) -> dict[str, JsonValue]:
        """What every artifact says that was made from this division."""
        return {
            "assignmentHash": self.digest,
            "dataDigest": dataset.digest,
            "sampleShape": list(dataset.sample.shape),
            "classNames": list(dataset.class_names),
        }

    @classmethod
    def from_artifact(cls, artifact: Artifact, dataset: Dataset) -> Self:
        """Read `assignment` back.

        Raises:
            ContractError: it was made of other data than `dataset`.
        """
        require_same_data(artifact, dataset)
        count = artifact.metadata["count"]
        assert isinstance(count, int)
        return cls(
            count=count,
            train_island_N=artifact.tensors["island_of_sample"],
            holdout_island_N=artifact.tensors["island_of_holdout"],
            fine_cluster_N=artifact.tensors.get("fine_cluster"),
            picture_index_P=artifact.tensors["picture_index"],
            picture_xy_P2=artifact.tensors["picture_xy"],
        )


def require_same_data(artifact: Artifact, dataset: Dataset) -> None:
    """Check that an artifact speaks of these data.

    Raises:
        ContractError: the data have changed since the artifact was made, or differ here.
    """
    theirs = artifact.metadata.get("dataDigest")
    if theirs != dataset.digest:
        raise ContractError(
            f"the data here ({dataset.digest[:19]}) are not the data that were divided "
            f"({str(theirs)[:19]}): give every island the same files, or start a new job"
        )
