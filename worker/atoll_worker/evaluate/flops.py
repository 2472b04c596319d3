"""Floating point operations of one forward pass, counted and not estimated."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atoll_worker.tasks.base import Inputs, Task


def flops_per_sample(task: Task, model: nn.Module, inputs: Inputs) -> int:
    """Multiplications and additions of matrix products for one sample of `inputs`."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        task.predict(model, inputs)
    return int(counter.get_total_flops() // len(inputs.x_BD))
