"""Floating point operations of a forward pass, counted and not estimated."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def forward_flops(forward: Callable[[], Tensor]) -> int:
    """FLOPs of matrix products, convolutions and attention; one multiply-add is 2."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        forward()
    return int(counter.get_total_flops())
