"""AdamW (Loshchilov and Hutter, arXiv 1711.05101) and its learning rate.

torch's own kernels through its functional form. The class `torch.optim.AdamW` gives the same
bits (a test holds it to that), but constructing it imports the compiler: 4 CPU-seconds in every
process of a job whose islands train for 3.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from atoll_api.spec.training import Optimizer as OptimizerSettings

Implementation = Literal["fused", "foreach", "single"]
"""Each repeats itself bit for bit and differs from the others: it is a part of the result."""

_FLAGS: dict[Implementation, tuple[bool, bool]] = {
    "fused": (True, False),
    "foreach": (False, True),
    "single": (False, False),
}
_LAST_SHARE = 0.05
"""What is left of the learning rate at the last step of a linear schedule."""


class AdamW:
    """AdamW with betas (0.9, 0.999) and epsilon 1e-8 over a fixed list of parameters."""

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        settings: OptimizerSettings,
        implementation: Implementation,
    ) -> None:
        self.learning_rate = settings.learning_rate
        self._weight_decay = settings.weight_decay
        self._fused, self._foreach = _FLAGS[implementation]
        self._parameters = list(parameters)
        self._values = [parameter.detach() for parameter in parameters]  # the same memory
        self._means = [torch.zeros_like(value) for value in self._values]
        self._squares = [torch.zeros_like(value) for value in self._values]
        # fused, a GPU counts itself; else the CPU does
        self._steps = [
            torch.zeros((), device=value.device if self._fused else "cpu") for value in self._values
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update the parameters that have a gradient."""
        gradients = [parameter.grad for parameter in self._parameters]
        used = [index for index, gradient in enumerate(gradients) if gradient is not None]
        adamw(
            [self._values[index] for index in used],
            [gradient for gradient in gradients if gradient is not None],
            [self._means[index] for index in used],
            [self._squares[index] for index in used],
            [],
            [self._steps[index] for index in used],
            fused=self._fused,
            foreach=self._foreach,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=self._weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts by name: the live tensors, not copies."""
        lists = {"mean": self._means, "square": self._squares, "step": self._steps}
        return {
            f"{index}/{kind}": tensor
            for kind, tensors in lists.items()
            for index, tensor in enumerate(tensors)
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Overwrite moments and step counts.

        Raises:
            KeyError: one is missing.
            RuntimeError: a shape differs.
        """
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


def make_optimizer(
    model: nn.Module, settings: OptimizerSettings, implementation: Implementation
) -> AdamW:
    """AdamW over the parameters of a model that are trained."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(trained, settings, implementation)


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The learning rate of step `step` in [0, steps)."""
    if settings.schedule == "Constant" or steps == 1:
        return settings.learning_rate
    return settings.learning_rate * (1 - (1 - _LAST_SHARE) * step / (steps - 1))
