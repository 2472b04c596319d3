"""How an island trains: `spec.training`."""

from typing import Literal

from pydantic import Field

from atoll_api.base import FrozenModel


class Optimizer(FrozenModel):
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101)."""

    type: Literal["AdamW"] = "AdamW"
    learning_rate: float = Field(default=1e-3, gt=0.0, le=10.0)
    weight_decay: float = Field(default=0.01, ge=0.0, le=10.0)
    schedule: Literal["Constant", "Linear"] = "Constant"
    """Linear: falls to 5 % of `learningRate` at the last step."""


class Ema(FrozenModel):
    """The exponential moving average of the weights, which is what an island publishes."""

    decay: float = Field(default=0.999, ge=0.0, lt=1.0)
    """Ramped up as min(decay, (1 + step) / (10 + step)); 0 publishes the last weights."""


class Checkpoint(FrozenModel):
    """When an island saves what it needs to resume exactly."""

    every_seconds: int = Field(default=60, ge=1, le=86400)


class Training(FrozenModel):
    """How one island trains."""

    steps: int = Field(default=2000, ge=1, le=100_000_000)
    """Optimizer steps of an island."""
    batch_size_per_island: int = Field(default=64, ge=16, le=1_048_576)
    """Samples a step. Experts train poorly below 32."""
    optimizer: Optimizer = Optimizer()
    ema: Ema = Ema()
    checkpoint: Checkpoint = Checkpoint()
