"""What a step costs, counted from the operations that run.

Matrix products, convolutions and attention, by the formulas of `torch.utils.flop_counter`; one
multiply-add is 2. Element-wise operations are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def training_flops(loss: Callable[[], Tensor]) -> int:
    """FLOPs of one forward and backward pass of `loss`; leaves gradients behind."""
    counter = _Counter()
    with counter:
        loss().backward()  # type: ignore[no-untyped-call]
    return counter.flops


def forward_flops(forward: Callable[[], Tensor]) -> int:
    """FLOPs of one forward pass."""
    counter = _Counter()
    with counter, torch.no_grad():
        forward()
    return counter.flops


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """`FlopCounterMode` without its import of the compiler, which takes 4 CPU-seconds."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and add what it costs."""
        del types
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out
