"""What is evaluated: an ensemble under one rule, or one model. Both answer the same question.

Shape suffixes: B batch, D the sample's own dimensions, K islands, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from atoll_worker import device
from atoll_worker.ensemble import combine
from atoll_worker.ensemble.router import RouterNet, probabilities, renormalised
from atoll_worker.errors import ContractError
from atoll_worker.tasks.base import Inputs, Task


@dataclass(frozen=True)
class Asked:
    """What a batch of samples is known to be, beside its noise."""

    label_B: Tensor | None
    """What models are told."""
    island_B: Tensor
    """The part each sample belongs to; only Oracle is told."""


@dataclass(frozen=True)
class Ensemble:
    """Experts, router and prior of one job, with those experts that are there."""

    task: Task
    experts: Sequence[nn.Module | None]
    """One an island, in order; None where it was lost."""
    router: RouterNet | None
    """None where no router is trained: text is routed in `evaluate.text`."""
    prior_CK: Tensor
    """Share of each part among the training samples of a class; one row when unconditioned."""

    def present(self) -> Tensor:
        """Which experts are there: bool (K,)."""
        return torch.tensor([expert is not None for expert in self.experts])

    def prior(self, asked: Asked) -> Tensor:
        """The prior (B, K) of each sample, over the experts that are there."""
        batch = len(asked.island_B)
        if asked.label_B is None:
            rows_BK = self.prior_CK.sum(dim=0, keepdim=True).expand(batch, -1)
        else:
            rows_BK = self.prior_CK[asked.label_B]
        return renormalised(rows_BK, self.present())


class System:
    """One way to answer: predictions, and what they cost. Holds state for one batch only."""

    def __init__(
        self, ensemble: Ensemble, rule: combine.Rule, asked: Asked, generator: torch.Generator
    ) -> None:
        self._ensemble = ensemble
        self._asked = asked
        self._generator = generator
        self._present_K = ensemble.present()
        self._prior_BK = ensemble.prior(asked)
        self._choice = combine.begin(rule, self._prior_BK, self._known_part(), generator)
        task = ensemble.task
        self._mixture = combine.Mixture(
            [_absent if m is None else partial(ask, task, m) for m in ensemble.experts]
        )

    def _known_part(self) -> Tensor:
        return known_part(self._asked.island_B, self._prior_BK, self._present_K)

    @property
    def mean_active(self) -> float:
        """Experts evaluated for one sample and step, on average so far."""
        return self._mixture.cost.mean_active

    def predict(self, inputs: Inputs) -> Tensor:
        """The ensemble's answer for the whole batch, shaped like `inputs.target_BD`."""
        probability_BK = self._prior_BK
        if combine.needs_router(self._choice.rule):
            assert self._ensemble.router is not None
            logits_BK = ask_router(self._ensemble.router, inputs)
            probability_BK = probabilities(logits_BK, self._present_K)
        weight_BK = combine.weights(self._choice, probability_BK, self._generator)
        return self._mixture.predict(inputs, weight_BK)

    def velocity(self, x_BD: Tensor, time_B: Tensor) -> Tensor:
        """The velocity at x_t, for `ensemble.samplers`."""
        return self.predict(Inputs(x_BD, x_BD, time_B, self._asked.label_B))


def ask(task: Task, model: nn.Module, inputs: Inputs) -> Tensor:
    """A model's answer on the CPU, where all mixing is, wherever the model is."""
    return task.predict(model, device.follow(inputs, model)).to(device.CPU)


def ask_router(router: RouterNet, inputs: Inputs) -> Tensor:
    """A router's logits (B, K) on the CPU, wherever it is."""
    given = device.follow(inputs, router)
    logits_BK: Tensor = router(given.x_BD, given.time_B, given.label_B)
    return logits_BK.to(device.CPU)


def known_part(island_B: Tensor, prior_BK: Tensor, present_K: Tensor) -> Tensor:
    """The part of each sample; of a lost part, the likeliest one that is there."""
    return torch.where(present_K[island_B], island_B, prior_BK.argmax(dim=1))


def velocity_of(task: Task, model: nn.Module, asked: Asked, x_BD: Tensor, time_B: Tensor) -> Tensor:
    """The velocity of one model alone."""
    return ask(task, model, Inputs(x_BD, x_BD, time_B, asked.label_B))


def prior_table(island_N: Tensor, label_N: Tensor | None, count: int, classes: int) -> Tensor:
    """Samples (C, K) of each class in each part, float; one row without labels.

    Samples of no island are not counted.
    """
    if label_N is not None:
        label_N = label_N[island_N >= 0]
    island_N = island_N[island_N >= 0]
    if label_N is None or classes == 0:
        return torch.bincount(island_N, minlength=count).float()[None]
    cell_N = label_N * count + island_N
    return torch.bincount(cell_N, minlength=classes * count).reshape(classes, count).float()


def _absent(_inputs: Inputs) -> Tensor:
    raise ContractError("an expert that is not there was asked: the routing weights are wrong")
