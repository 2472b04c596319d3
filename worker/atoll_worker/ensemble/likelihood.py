"""Routing by Bayes: whose expert found the text so far the likeliest?

p(k | x_<t) is proportional to p(k) prod_{s<t} p_k(x_s | x_<s), as in Branch-Train-Merge (Li et
al., arXiv 2208.03306, section 2.2). Under the running posterior the mixture's probability of a text
is sum_k p(k) p_k(text), exactly. Pure; sums of logarithms in float64, so that no product underflows.

Shape suffixes: B batch, T predicted tokens, K experts.
"""

import torch
from torch import Tensor

from atoll_worker.ensemble.router import renormalised

_LEAST = 1e-38
"""An expert that gave a token no chance at all is not out for ever: others may be as wrong."""


def prefix_posterior(
    probability_KBT: Tensor, prior_K: Tensor, present_K: Tensor, tokens: int
) -> Tensor:
    """p(k | the first `tokens` predicted tokens), (B, K) float32; absent experts 0.

    Args:
        probability_KBT: what each expert made of each token; rows of absent experts are not read.
        prior_K: share of each part, of any scale.
        present_K: bool, which experts are there.
        tokens: how many of the T to look at; 0 gives the prior.

    Raises:
        ValueError: no expert is there.
    """
    seen_KB = _logs(probability_KBT[..., :tokens]).sum(dim=-1)
    return _posterior(seen_KB.T, prior_K, present_K)


def running_posterior(probability_KBT: Tensor, prior_K: Tensor, present_K: Tensor) -> Tensor:
    """p(k | all tokens before), for each token: (B, T, K) float32; absent experts 0.

    Args: see `prefix_posterior`. The first of the T is weighed by the prior.

    Raises:
        ValueError: no expert is there.
    """
    logs_KBT = _logs(probability_KBT)
    before_KBT = logs_KBT.cumsum(dim=-1) - logs_KBT
    return _posterior(before_KBT.permute(1, 2, 0), prior_K, present_K)


def _logs(probability_KBT: Tensor) -> Tensor:
    return probability_KBT.double().clamp_min(_LEAST).log()


def _posterior(logs: Tensor, prior_K: Tensor, present_K: Tensor) -> Tensor:
    """Softmax over the last dimension of log-likelihoods (..., K) plus the logarithm of the prior."""
    if not bool(present_K.any()):
        raise ValueError("a router needs at least one expert")
    prior_1K = renormalised(prior_K.double()[None], present_K)
    joint = (logs + prior_1K.squeeze(0).log()).masked_fill(~present_K, -torch.inf)
    return joint.softmax(dim=-1).float()
