"""Would these models merge? Their mean against themselves (arXiv 2507.06542, section 4).

Models are mergeable where the loss of the mean is no more than the mean of the losses. Locals
alone say nothing of that: 57 % accurate each and 93 % merged has been measured, and the contrary.
"""

import math
from collections.abc import Collection, Mapping

from torch import Tensor

from atoll_worker.merge.mean import Accumulator


class Consensus:
    """The mean of models that are given one after the other, and how far they are from it."""

    def __init__(self, measured: Collection[str]) -> None:
        """Distances are those of the tensors `measured`: of parameters, not of statistics."""
        self._measured = frozenset(measured)
        self._mean = Accumulator()
        self._square = 0.0
        self._weight = 0.0
        self.count = 0
        """Models so far."""

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> None:
        """Let one more model count.

        Raises:
            ContractError: it is of another architecture than those before.
        """
        self._mean.add(tensors, weight)
        self._square += weight * self._norm(tensors)
        self._weight += weight
        self.count += 1

    def mean(self) -> dict[str, Tensor]:
        """The mean so far.

        Raises:
            BadDataError: nothing was added.
        """
        return self._mean.result()

    def distance(self) -> float:
        """Relative consensus distance: mean_k |x_k - mean|^2 / |mean|^2 (section 2.5)."""
        of_mean = self._norm(self.mean())
        spread = max(0.0, self._square / self._weight - of_mean)
        return spread / of_mean if of_mean else 0.0

    def _norm(self, tensors: Mapping[str, Tensor]) -> float:
        """The squared norm, summed in float64: the difference of two has to keep its digits."""
        own = (tensor for name, tensor in tensors.items() if name in self._measured)
        return math.fsum(float(tensor.double().square().sum()) for tensor in own)
