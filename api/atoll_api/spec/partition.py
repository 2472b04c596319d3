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


class TextClusters(FrozenModel):
    """tf-idf, SVD, balanced k-means (c-BTM, Gururangan et al., arXiv 2303.14177, section 3.1)."""

    components: int = Field(default=50, ge=2, le=1024)
    """Dimensions that tf-idf is reduced to."""
    balanced: bool = True
    """Parts of nearly equal size (slack 1.05); without it a part may be too small to train."""


class Dirichlet(FrozenModel):
    """Shares of each class drawn from a Dirichlet distribution (Hsu et al., 1909.06335)."""

    alpha: float = Field(default=0.1, gt=0.0, le=1e6)
    """Small: an island has few classes. Large: all parts are alike."""


class Partition(TaggedUnion):
    """How the training samples are divided among the islands."""

    members: ClassVar[dict[str, str | None]] = {
        "FeatureClusters": "feature_clusters",
        "TextClusters": "text_clusters",
        "Dirichlet": "dirichlet",
        "Random": None,
        "ByClass": None,
        "PerIsland": None,
    }
    type: Literal[
        "FeatureClusters", "TextClusters", "Dirichlet", "Random", "ByClass", "PerIsland"
    ] = "FeatureClusters"
    """PerIsland: each island brings its own data, which no other process reads."""
    feature_clusters: FeatureClusters | None = None
    text_clusters: TextClusters | None = None
    dirichlet: Dirichlet | None = None
