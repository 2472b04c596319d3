"""What a training step costs, counted from the operations that run."""

from collections.abc import Callable

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def training_flops(loss: Callable[[], Tensor]) -> int:
    """FLOPs of one forward and backward pass of `loss`.

    Counts matrix products, convolutions and attention, as `torch.utils.flop_counter` does; one
    multiply-add is 2. Element-wise operations are left out. Leaves gradients behind.
    """
    with FlopCounterMode(display=False) as counter:
        loss().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())
