"""The outer optimizer of DiLoCo (Douillard et al., arXiv 2311.08105, algorithm 1)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from atoll_api.spec.merging import OuterNesterov


def outer_step(
    anchor: Mapping[str, Tensor],
    momentum: Mapping[str, Tensor],
    mean: Mapping[str, Tensor],
    settings: OuterNesterov,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One step of SGD with Nesterov momentum on the mean change of all islands.

    g = anchor - mean; m' = mu m + g; anchor' = anchor - lr (g + mu m'), which is torch's
    `SGD(nesterov=True)`.

    Args:
        anchor: float weights that all islands began the round with.
        momentum: m, float32, shaped like the anchor.
        mean: the mean of the islands' weights at its end.
        settings: lr and mu.

    Returns:
        The new anchor, in the anchor's types, and the new momentum.
    """
    weights, moving = {}, {}
    for name, start in anchor.items():
        change = start.float() - mean[name].float()
        moving[name] = torch.add(change, momentum[name], alpha=settings.momentum)
        step = torch.add(change, moving[name], alpha=settings.momentum)
        weights[name] = torch.sub(start.float(), step, alpha=settings.learning_rate).to(start.dtype)
    return weights, moving
