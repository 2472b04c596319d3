"""How large the gradients are: looked at now and then, and never changed."""

import torch
from torch import nn


def gradient_norm(model: nn.Module) -> float | None:
    """Euclidean norm of all gradients together, as they stand; None where there is none.

    Waits for a GPU: to be asked once in a while, not in every step.
    """
    gradients = [it.grad for it in model.parameters() if it.grad is not None]
    if not gradients:
        return None
    with torch.no_grad():
        return float(torch.nn.utils.get_total_norm(gradients))
