"""Where a trained model comes from: the partition it was trained on."""

from dataclasses import dataclass, replace
from typing import Self

from atoll_api.names import Ref
from atoll_worker.data.assignment import require_same_data
from atoll_worker.data.dataset import Dataset
from atoll_worker.ports import Artifact, Artifacts

_IDENTITY = ("assignmentHash", "dataDigest", "sampleShape", "classNames")


@dataclass(frozen=True)
class Origin:
    """A bound partition, whole or one island's part of it."""

    partition: Artifact
    digest: str

    @classmethod
    def fetch(cls, artifacts: Artifacts, ref: Ref, dataset: Dataset) -> Self:
        """Read a partition.

        Raises:
            ContractError: it divides other data than `dataset`.
            RejectedError: nothing is bound to the ref.
        """
        origin = cls.agreed(artifacts, ref)
        require_same_data(origin.partition, dataset)
        return origin

    @classmethod
    def agreed(cls, artifacts: Artifacts, ref: Ref) -> Self:
        """Read what islands agreed on that bring their own data.

        Raises:
            RejectedError: nothing is bound to the ref.
        """
        return cls(artifacts.fetch(ref), artifacts.bindings(ref)[ref].digest)

    def publish(self, artifacts: Artifacts, ref: Ref, role: str, trained: Artifact) -> None:
        """Bind what was trained on this partition; it joins what the model was made from."""
        identity = {key: self.partition.metadata[key] for key in _IDENTITY}
        metadata = {**trained.metadata, **identity, "role": role}
        base = () if trained.base is None else (trained.base.digest,)
        parents = tuple(dict.fromkeys((self.digest, *trained.parents, *base)))
        artifacts.publish(ref, replace(trained, metadata=metadata, parents=parents))
