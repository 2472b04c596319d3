"""How the predictions of several experts become one (arXiv 2501.05450, section 4.3).

A rule turns routing probabilities (B, K) into weights (B, K) whose rows sum to 1. An expert with
weight 0 is not evaluated for that sample: `Mixture` counts what is.

Shape suffixes: B batch, D the sample's own dimensions, K experts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from atoll_worker.tasks.base import Inputs


@dataclass(frozen=True)
class Full:
    """Every expert, by its probability: the identity itself."""


@dataclass(frozen=True)
class TopK:
    """The k most probable experts, renormalised.

    With an unconditional router and small k all samples start at the expert of the largest part.
    """

    k: int = 1


@dataclass(frozen=True)
class Threshold:
    """Experts at least as probable as `minimum`, renormalised; the most probable always stays."""

    minimum: float = 0.1


@dataclass(frozen=True)
class Sticky:
    """One expert a sample, drawn from the prior and kept: exact, and no router is needed."""


@dataclass(frozen=True)
class Sample:
    """One expert a sample, drawn anew from the router at each step: unbiased."""


@dataclass(frozen=True)
class Oracle:
    """The expert of the part that the sample is said to belong to."""


Rule = Full | TopK | Threshold | Sticky | Sample | Oracle


@dataclass(frozen=True)
class Choice:
    """What a rule decides by, beside the router: fixed for a whole trajectory."""

    rule: Rule
    kept_B: Tensor | None = None
    """Expert of each sample, for Sticky and Oracle."""


def begin(
    rule: Rule, prior_BK: Tensor, cluster_B: Tensor | None, generator: torch.Generator
) -> Choice:
    """Decide what is decided once: the expert of each sample for Sticky and Oracle.

    Args:
        rule: the combine rule.
        prior_BK: share of each part, given what the sample is conditioned on; absent experts 0.
        cluster_B: the part each sample belongs to; only Oracle uses it.
        generator: Sticky draws from it.

    Raises:
        ValueError: Oracle without `cluster_B`.
    """
    if isinstance(rule, Sticky):
        return Choice(rule, torch.multinomial(prior_BK, 1, generator=generator).squeeze(1))
    if isinstance(rule, Oracle):
        if cluster_B is None:
            raise ValueError("the Oracle rule needs the part of each sample")
        return Choice(rule, cluster_B)
    return Choice(rule)


def needs_router(rule: Rule) -> bool:
    """Whether the rule looks at the router's probabilities at all."""
    return not isinstance(rule, Sticky | Oracle)


def weights(choice: Choice, probability_BK: Tensor, generator: torch.Generator) -> Tensor:
    """The weights (B, K) of one step; each row sums to 1.

    `probability_BK` gives only its shape to Sticky and Oracle. Sample draws from `generator`.
    """
    experts = probability_BK.shape[1]
    match choice.rule:
        case Full():
            return probability_BK
        case TopK(k):
            return _kept(probability_BK, _is_among_top(probability_BK, min(k, experts)))
        case Threshold(minimum):
            keep_BK = (probability_BK >= minimum) | _is_among_top(probability_BK, 1)
            return _kept(probability_BK, keep_BK)
        case Sample():
            drawn_B = torch.multinomial(probability_BK, 1, generator=generator).squeeze(1)
            return F.one_hot(drawn_B, experts).to(probability_BK.dtype)
        case Sticky() | Oracle():
            assert choice.kept_B is not None
            return F.one_hot(choice.kept_B, experts).to(probability_BK.dtype)


def _is_among_top(probability_BK: Tensor, k: int) -> Tensor:
    top_Bk = probability_BK.topk(k, dim=1).indices
    return torch.zeros_like(probability_BK, dtype=torch.bool).scatter(1, top_Bk, value=True)


def _kept(probability_BK: Tensor, keep_BK: Tensor) -> Tensor:
    kept_BK = probability_BK * keep_BK
    return kept_BK / kept_BK.sum(dim=1, keepdim=True)


Predict = Callable[[Inputs], Tensor]
"""One expert's answer to (B, ...) inputs, shaped like their target."""


@dataclass
class Cost:
    """What a mixture has evaluated so far."""

    samples: int = 0
    """Rows that were asked for."""
    expert_rows: int = 0
    """Rows that experts evaluated, all experts together."""

    @property
    def mean_active(self) -> float:
        """Experts evaluated for a row, on average."""
        return self.expert_rows / self.samples if self.samples else 0.0


@dataclass(frozen=True)
class Mixture:
    """The weighted sum of the experts' answers, evaluating only those that count."""

    experts: Sequence[Predict]
    cost: Cost = field(default_factory=Cost)

    def predict(self, inputs: Inputs, weight_BK: Tensor) -> Tensor:
        """The combined answer, shaped like `inputs.target_BD`.

        Rows are grouped by expert, so each expert runs at most once a step.
        """
        answer_BD = torch.zeros_like(inputs.target_BD)
        for k, expert in enumerate(self.experts):
            rows = weight_BK[:, k].nonzero().squeeze(1)
            if len(rows):
                part_BD = expert(at_rows(inputs, rows))
                weight = weight_BK[rows, k].reshape(-1, *[1] * (part_BD.dim() - 1))
                answer_BD.index_add_(0, rows, weight * part_BD)
            self.cost.expert_rows += len(rows)
        self.cost.samples += len(weight_BK)
        return answer_BD


def at_rows(inputs: Inputs, rows: Tensor) -> Inputs:
    """The inputs of some rows of the batch."""
    time_B, label_B = inputs.time_B, inputs.label_B
    # A time that all rows share stays expanded, so that a network can embed it once.
    shared = time_B.stride(0) == 0
    return replace(
        inputs,
        x_BD=inputs.x_BD[rows],
        target_BD=inputs.target_BD[rows],
        time_B=time_B[:1].expand(len(rows)) if shared else time_B[rows],
        label_B=None if label_B is None else label_B[rows],
    )
