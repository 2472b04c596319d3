"""Features to cluster by: principal components, rounded. Pure and single-threaded.

Two threads add in another order than one, and k-means turns a last bit into another label. So
features are made under one thread, and rounded before any decision is taken from them.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits
from torch import Tensor

Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]

_DIGITS_KEPT = 6
"""Decimals of a feature, relative to the largest of the training samples."""


def principal_components(x_ND: Tensor, train: Tensor, components: int) -> Matrix:
    """Project all samples on the first principal components of the training samples.

    Args:
        x_ND: float32 samples of any rank; flattened here.
        train: indices of the samples that the components are fitted to.
        components: at most this many; fewer when there are fewer dimensions or samples.

    Returns:
        float64 features (N, C), scaled to [-1, 1] over the training samples and rounded. Zeros
        for data without variance.
    """
    values = x_ND.flatten(1).numpy().astype(np.float64)
    fitted = values[train.numpy()]
    count = min(components, *fitted.shape)
    if not np.ptp(fitted, axis=0).any():
        return np.zeros((len(values), count))
    with threadpool_limits(limits=1):
        pca = PCA(n_components=count, random_state=0).fit(fitted)
        features = pca.transform(values)
    scale = np.abs(features[train.numpy()]).max()
    rounded: Matrix = np.round(features / scale, _DIGITS_KEPT) + 0.0  # -0.0 becomes 0.0
    return rounded


def squared_distances(points: Matrix, centres: Matrix) -> Matrix:
    """Squared Euclidean distances (points, centres), without BLAS and so without its threads."""
    return np.stack([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
