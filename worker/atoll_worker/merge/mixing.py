"""The mixing matrix as a whole: how fast a graph spreads what one island knows."""

import numpy as np

from atoll_api import graphs


def spectral_gap(around: graphs.Neighbours) -> float:
    """1 - |W - 11^T/N|_2 of the Metropolis-Hastings weights of a graph.

    1: all agree after one round. Near 0: the graph is hardly connected. Not connected: 0.
    """
    count = len(around)
    mixing_NN = np.zeros((count, count))
    for island in range(count):
        for other, share in graphs.mixing_row(around, island).items():
            mixing_NN[island, other] = share
    return float(1 - np.linalg.norm(mixing_NN - 1 / count, 2))
