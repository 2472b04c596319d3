"""Distances between distributions, each of two sets of samples. Pure, in float64.

Shape suffixes: N samples, F features, D the sample's own dimensions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Mean (F,) and covariance (F, F) of features."""

    mean_F: Tensor
    covariance_FF: Tensor


def fit(features_NF: Tensor) -> Gaussian:
    """The Gaussian with the mean and covariance of at least two rows of features."""
    rows = features_NF.double()
    return Gaussian(rows.mean(dim=0), torch.cov(rows.T).reshape(rows.shape[1], -1))


def frechet(a: Gaussian, b: Gaussian) -> float:
    """Squared Frechet distance |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2).

    Heusel et al., arXiv 1706.08500, section 2 ("FID" is this in Inception features). The
    symmetric form keeps every root real; eigenvalues that rounding made negative count as 0.
    """
    root_FF = _root(a.covariance_FF)
    product_FF = root_FF @ b.covariance_FF @ root_FF
    cross = torch.linalg.eigvalsh((product_FF + product_FF.T) / 2).clamp_min(0).sqrt().sum()
    trace = a.covariance_FF.trace() + b.covariance_FF.trace() - 2 * cross
    return float((a.mean_F - b.mean_F).square().sum() + trace)


def _root(covariance_FF: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance_FF)
    root_FF: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root_FF


def shares(label_N: Tensor, count: int) -> Tensor:
    """The share (count,) of each label in float64; a label below 0 is none."""
    known_N = label_N[label_N >= 0]
    return torch.bincount(known_N, minlength=count).double() / max(len(known_N), 1)


def total_variation(p_C: Tensor, q_C: Tensor) -> float:
    """Half the sum of absolute differences of two distributions: 0 the same, 1 disjoint."""
    return float((p_C - q_C).abs().sum() / 2)


def correlation(a_ND: Tensor, b_ND: Tensor) -> float:
    """Pearson correlation of all values of two equally shaped sets of samples."""
    a, b = a_ND.double().flatten(), b_ND.double().flatten()
    a, b = a - a.mean(), b - b.mean()
    return float((a @ b) / (a.norm() * b.norm()).clamp_min(1e-12))


def nearest(x_ND: Tensor, reference_MD: Tensor, rows: int = 512) -> tuple[Tensor, Tensor]:
    """(distance (N,), index (N,)) of the nearest reference sample, by Euclidean distance."""
    x_NF, reference_MF = x_ND.flatten(1), reference_MD.flatten(1)
    found = [torch.cdist(part, reference_MF).min(dim=1) for part in torch.split(x_NF, rows)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
