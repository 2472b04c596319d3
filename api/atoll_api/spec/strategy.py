"""How many islands become one system: `spec.strategy`."""

from typing import ClassVar, Literal

from pydantic import Field

from atoll_api.base import FrozenModel, TaggedUnion

CombineType = Literal["Full", "TopK", "Threshold", "Sticky", "Sample", "Oracle"]


class Router(FrozenModel):
    """A classifier p(island | x_t, t[, class]) trained on the islands' part labels."""

    type: Literal["Learned"] = "Learned"
    steps: int = Field(default=1000, ge=1, le=10_000_000)
    batch_size: int = Field(default=256, ge=16, le=1_048_576)
    width: int = Field(default=64, ge=8, le=8192)
    depth: int = Field(default=2, ge=1, le=64)
    learning_rate: float = Field(default=1e-3, gt=0.0, le=10.0)


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
    """Decentralized Diffusion Models (McAllister et al., arXiv 2501.05450)."""

    router: Router = Router()
    combine: Combine = Combine(type="Full")


class Strategy(TaggedUnion):
    """How many islands become one system."""

    members: ClassVar[dict[str, str | None]] = {"ExpertEnsemble": "expert_ensemble"}
    type: Literal["ExpertEnsemble"]
    expert_ensemble: ExpertEnsemble | None = None
