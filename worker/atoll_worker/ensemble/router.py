"""The router: which expert's data does a noisy sample come from?

The ensemble identity u_t = sum_k p(k | x_t, t) u_t^k (McAllister et al., arXiv 2501.05450,
eq. 5) needs probabilities, so training is plain cross-entropy without load balancing. The size
of each part enters here, and nowhere else.

Shape suffixes: B batch, D the sample's own dimensions, K islands.
"""

import math

import torch
from torch import Tensor, nn

from atoll_worker.tasks.base import SampleSpec
from atoll_worker.tasks.diffusion.mlp import ResidualMlp


class RouterNet(nn.Module):
    """p(island | x_t, t[, class]) as a residual MLP over the flattened sample."""

    def __init__(self, sample: SampleSpec, num_islands: int, width: int, depth: int) -> None:
        """Build the network.

        Args:
            sample: what it sees; with `num_classes` above 0 it can be told a label, so pass 0
                where the experts are not told one.
            num_islands: logits, in the order of the islands.
            width: hidden units of each block.
            depth: residual blocks.
        """
        super().__init__()
        features = math.prod(sample.shape)
        self.net = ResidualMlp(features, num_islands, width, depth, sample.num_classes)

    def forward(self, x_BD: Tensor, time_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        """Logits (B, K) of noisy samples (B, ...) at times (B,) in [0, 1]."""
        logits_BK: Tensor = self.net(x_BD, time_B, label_B)
        return logits_BK


def probabilities(logits_BK: Tensor, present_K: Tensor | None = None) -> Tensor:
    """Routing weights (B, K), with the absent experts at exactly 0.

    Renormalising over the experts that are there is the exact flow of the data without the
    lost parts, not an approximation: r'_k = p_k / sum of the present p_i.

    Args:
        logits_BK: the router's answer.
        present_K: bool, which experts are there; all of them when None.

    Raises:
        ValueError: no expert is there.
    """
    if present_K is None:
        return logits_BK.softmax(dim=1)
    if not bool(present_K.any()):
        raise ValueError("a router needs at least one expert")
    return logits_BK.masked_fill(~present_K, -torch.inf).softmax(dim=1)


def renormalised(prior_BK: Tensor, present_K: Tensor) -> Tensor:
    """A prior (B, K) restricted to the present experts; uniform over them where it had no mass."""
    kept_BK = prior_BK * present_K
    mass_B1 = kept_BK.sum(dim=1, keepdim=True)
    uniform_K = present_K / present_K.sum()
    return torch.where(mass_B1 > 0, kept_BK / mass_B1.clamp_min(1e-30), uniform_K)
