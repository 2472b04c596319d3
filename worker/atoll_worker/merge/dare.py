"""DARE (Yu et al., arXiv 2311.03099, section 3.2): drop changes by chance, and rescale the rest.

Each element of a model's change against a base stays with probability `density`, and is divided by
it, so that its expectation is the change itself. The base plus the weighted mean of these changes
is the result, the weights normalised to sum 1. Element i of the tensor NAME of model K stays if the
i-th 64 bits of the PCG64 seeded by (seed, NAME, K), as a share of 2^64, are below the density: so
what stays depends neither on what else is merged, nor on the order, nor on numpy's version.
"""

from collections.abc import Sequence

import numpy as np

from atoll_worker.merge.linear import mean_of
from atoll_worker.merge.pieces import Numbers, Piece, Rule, Whole, changes
from atoll_worker.merge.ties import check_density
from atoll_worker.merge.weights import check_weights
from atoll_worker.train.seeds import derive


class Dare:
    """DARE of a base and models. Reads them once."""

    def __init__(self, weights: Sequence[float], density: float, seed: int) -> None:
        check_weights(weights, len(weights))
        check_density(density)
        self._weights = tuple(weights)
        self._density = density
        self._seed = seed

    def rule(self, whole: Whole) -> Rule:
        """See `pieces.Method.rule`."""
        generators = [
            np.random.PCG64(derive(self._seed, f"dare/{whole.name}", model))
            for model in range(len(self._weights))
        ]

        def rescaled(piece: Piece) -> Numbers:
            changed = changes(piece)
            for change_N, generator in zip(changed, generators, strict=True):
                self._drop(change_N, generator)
            mean_N = mean_of(changed, self._weights)
            mean_N += piece[0]
            return mean_N

        return rescaled

    def _drop(self, change_N: Numbers, generator: np.random.PCG64) -> None:
        if self._density < 1:
            drawn_N = generator.random_raw(change_N.size)
            change_N *= drawn_N < np.uint64(self._density * 2**64)
            change_N /= self._density
