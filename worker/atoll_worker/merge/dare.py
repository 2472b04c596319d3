"""DARE (Yu et al., arXiv 2311.03099, section 3.2): drop changes by chance, and rescale the rest.

Each element of a model's change against a base stays with probability `density`, and is divided by
it, so that its expectation is the change itself. The base plus the weighted mean of these changes
is the result, the weights normalised to sum 1. What stays of the tensor NAME of model K is drawn,
element by element, from a generator seeded by (seed, NAME, K): whatever else is merged, in whatever
order and pieces.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from atoll_worker.merge.mean import unrounded_mean
from atoll_worker.merge.pieces import Piece, Rule, Whole, changes_of, merged
from atoll_worker.merge.ties import check_density
from atoll_worker.train.seeds import derive


class Dare:
    """DARE for a base and models that are read in pieces, once."""

    def __init__(self, weights: Sequence[float], density: float, seed: int) -> None:
        check_density(density)
        self._weights = tuple(weights)
        self._density = density
        self._seed = seed

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        generators = [
            torch.Generator().manual_seed(derive(self._seed, f"dare/{whole.name}", model))
            for model in range(len(self._weights))
        ]

        def rescaled(piece: Piece) -> Tensor:
            changes = zip(changes_of(piece, whole.dtype), generators, strict=True)
            dropped = [self._dropped(change_N, generator) for change_N, generator in changes]
            return unrounded_mean(dropped, self._weights).add_(piece[0])

        return rescaled

    def _dropped(self, change_N: Tensor, generator: torch.Generator) -> Tensor:
        stays_N = torch.rand(change_N.shape, generator=generator) < self._density
        return change_N.mul_(stays_N).div_(self._density)


def dare(name: str, base: Tensor, tensors: Sequence[Tensor], method: Dare) -> Tensor:
    """Merge tensors of one shape, called `name`, against their base, in the type of the base."""
    return merged(method, name, [base, *tensors])
