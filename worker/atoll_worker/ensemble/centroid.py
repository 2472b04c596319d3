"""Routing by distance: which part's centre is a text nearest to?

c-BTM (Gururangan et al., arXiv 2303.14177, section 3.3): p(k | prefix) is proportional to
exp(-dist(h, c_k)^2 / T). The size of a part plays no role. Pure.

Shape suffixes: B batch, K experts.
"""

from torch import Tensor

from atoll_worker.ensemble.router import probabilities


def centroid_probabilities(
    squared_distance_BK: Tensor, temperature: float, present_K: Tensor | None = None
) -> Tensor:
    """Routing weights (B, K), with the absent experts at exactly 0 and the rest renormalised.

    Args:
        squared_distance_BK: from each text to each part's centre.
        temperature: T; small ones pick the nearest centre, large ones take all alike.
        present_K: bool, which experts are there; all of them when None.

    Raises:
        ValueError: no expert is there.
    """
    return probabilities(-squared_distance_BK / temperature, present_K)
