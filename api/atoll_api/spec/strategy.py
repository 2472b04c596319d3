"""How many islands become one system: `spec.strategy`."""

from typing import ClassVar, Literal

from pydantic import Field

from atoll_api.base import FrozenModel, TaggedUnion
from atoll_api.spec.merging import IterativeMerge, SingleMerge

CombineType = Literal["Full", "TopK", "Threshold", "Sticky", "Sample", "Oracle"]


class LearnedRouter(FrozenModel):
    """A classifier p(island | x_t, t[, class]) trained on the islands' part labels."""

    steps: int = Field(default=1000, ge=1, le=10_000_000)
    batch_size: int = Field(default=256, ge=16, le=1_048_576)
    width: int = Field(default=64, ge=8, le=8192)
    depth: int = Field(default=2, ge=1, le=64)
    learning_rate: float = Field(default=1e-3, gt=0.0, le=10.0)


class CentroidRouter(FrozenModel):
    """softmax(-distance^2 / T) to the islands' centres (c-BTM, Gururangan et al., 2303.14177)."""

    prefix: int = Field(default=64, ge=1, le=1_048_576)
    """Tokens of a text by which it is routed; only the rest is scored."""
    temperature: float = Field(default=0.1, gt=0.0, le=1000.0)


class LikelihoodRouter(FrozenModel):
    """Bayes: the share of each part times how likely its expert found the text so far."""

    prefix: int = Field(default=64, ge=1, le=1_048_576)
    """Tokens of a text by which it is routed; only the rest is scored."""
    running: bool = True
    """Whether the tokens after the prefix count too, once they are read."""


class Router(TaggedUnion):
    """What says how probable it is that an input belongs to each island's part.

    Learned: for inputs that are numbers. Centroid, Likelihood: for text.
    """

    members: ClassVar[dict[str, str | None]] = {
        "Learned": "learned",
        "Centroid": "centroid",
        "Likelihood": "likelihood",
    }
    type: Literal["Learned", "Centroid", "Likelihood"] = "Learned"
    learned: LearnedRouter | None = None
    centroid: CentroidRouter | None = None
    likelihood: LikelihoodRouter | None = None


class TopK(FrozenModel):
    """The k most probable experts, renormalised."""

    k: int = Field(default=1, ge=1, le=1000)


class Threshold(FrozenModel):
    """Experts above a probability, renormalised; the most probable one always stays."""

    minimum: float = Field(default=0.1, gt=0.0, lt=1.0)


class Combine(TaggedUnion):
    """How the experts' predictions become one (ddm 1.5).

    Full: the weighted sum. TopK, Threshold: the sum over a few. Sticky: one expert a sample,
    drawn from the prior and kept. Sample: one expert a step, drawn from the router.
    """

    members: ClassVar[dict[str, str | None]] = {
        "Full": None,
        "TopK": "top_k",
        "Threshold": "threshold",
        "Sticky": None,
        "Sample": None,
    }
    type: Literal["Full", "TopK", "Threshold", "Sticky", "Sample"] = "Full"
    top_k: TopK | None = None
    threshold: Threshold | None = None


class ExpertEnsemble(FrozenModel):
    """Decentralized Diffusion Models (McAllister et al., arXiv 2501.05450); c-BTM for text."""

    seed_steps: int = Field(default=0, ge=0, le=100_000_000)
    """Steps of one model on all data, from which all experts and the baseline then go on."""
    router: Router = Router(type="Learned")
    combine: Combine = Combine(type="Full")


class Strategy(TaggedUnion):
    """How many islands become one system.

    ExpertEnsemble: experts that never meet, joined by a router. IterativeMerge: weights are
    averaged after each round. SingleMerge: hardly ever, and once at the end.
    """

    members: ClassVar[dict[str, str | None]] = {
        "ExpertEnsemble": "expert_ensemble",
        "IterativeMerge": "iterative_merge",
        "SingleMerge": "single_merge",
    }
    type: Literal["ExpertEnsemble", "IterativeMerge", "SingleMerge"]
    expert_ensemble: ExpertEnsemble | None = None
    iterative_merge: IterativeMerge | None = None
    single_merge: SingleMerge | None = None
