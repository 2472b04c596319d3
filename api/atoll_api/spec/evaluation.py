"""What is measured at the end: `spec.baseline` and `spec.evaluation`."""

from typing import Literal

from pydantic import Field

from atoll_api.base import FrozenModel, Items
from atoll_api.spec.data import Data
from atoll_api.spec.strategy import CombineType


class Baseline(FrozenModel):
    """One model of an expert's size, trained on all data with the same FLOPs as the ensemble."""

    enabled: bool = False


class Evaluation(FrozenModel):
    """Scores of the ensemble under each combine strategy, and of the baseline."""

    data: Data | None = None
    """What the merged model is judged on, where each island brings its own data; nobody trains on
    it, and every process reads it. Its holdout is scored; its shape and classes are the job's."""
    samples: int = Field(default=2000, ge=16, le=1_000_000)
    """Samples drawn for each score and seed."""
    seeds: int = Field(default=4, ge=1, le=64)
    """Sampling seeds; the report gives mean and standard deviation over them."""
    sampler: Literal["Euler", "Heun"] = "Euler"
    sampler_steps: int = Field(default=50, ge=1, le=1000)
    """Steps from noise to sample."""
    strategies: Items[CombineType] = Field(
        default=("Full", "TopK", "Threshold", "Sticky"), min_length=1, max_length=6
    )
    """Combine strategies to compare; settings come from `strategy.expertEnsemble.combine`
    where the type is the same."""
