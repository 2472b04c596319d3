"""Who trains on what: `spec.partition`."""

from typing import ClassVar, Literal

from pydantic import Field

from atoll_api.base import FrozenModel, TaggedUnion


class FeatureClusters(FrozenModel):
    """Fine k-means on PCA features, then coarse clusters of the fine centres (ddm 1.2)."""

    fine_clusters: int = Field(default=64, ge=2, le=65536)
    """k-means centres that are consolidated into one part an island."""
    balanced: bool = True
    """Parts of nearly equal size (slack 1.05); without it a part may be too small to train."""


class Partition(TaggedUnion):
    """How the training samples are divided among the islands."""

    members: ClassVar[dict[str, str | None]] = {
        "FeatureClusters": "feature_clusters",
        "Random": None,
        "ByClass": None,
    }
    type: Literal["FeatureClusters", "Random", "ByClass"] = "FeatureClusters"
    feature_clusters: FeatureClusters | None = None
