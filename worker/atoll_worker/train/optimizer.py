"""AdamW and its learning rate, as the work order fixes them."""

from typing import Literal

from atoll_api.spec.training import Optimizer as OptimizerSettings
from torch import nn
from torch.optim import AdamW

Implementation = Literal["fused", "foreach", "single"]
_FLAGS: dict[Implementation, tuple[bool, bool]] = {
    "fused": (True, False),
    "foreach": (False, True),
    "single": (False, False),
}
_LAST_SHARE = 0.05
"""What is left of the learning rate at the last step of a linear schedule."""


def make_optimizer(
    model: nn.Module, settings: OptimizerSettings, implementation: Implementation
) -> AdamW:
    """AdamW (arXiv 1711.05101) in one of three implementations.

    Each repeats itself bit for bit, and differs from the others: it is a part of the result.
    """
    fused, foreach = _FLAGS[implementation]
    return AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=fused,
        foreach=foreach,
    )


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The learning rate of step `step` in [0, steps)."""
    if settings.schedule == "Constant" or steps == 1:
        return settings.learning_rate
    return settings.learning_rate * (1 - (1 - _LAST_SHARE) * step / (steps - 1))
