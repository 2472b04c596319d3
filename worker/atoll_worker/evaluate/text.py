"""Ensembles of text: routed on the beginning, asked for the rest, and made to go on.

c-BTM (Gururangan et al., arXiv 2303.14177, section 3.3): probabilities are mixed, not logits. What a
router may see of a text is its prefix; only a running posterior goes on to see what has been read.

Shape suffixes: B batch, L tokens, T = L - 1 predicted tokens, K experts, V vocabulary.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from atoll_api.spec.strategy import Router
from atoll_worker import device
from atoll_worker.data.text_clusters import TextClusterer
from atoll_worker.data.text_partition import texts_of
from atoll_worker.ensemble import combine
from atoll_worker.ensemble.centroid import centroid_probabilities
from atoll_worker.ensemble.likelihood import prefix_posterior, running_posterior
from atoll_worker.ensemble.router import renormalised
from atoll_worker.ensemble.text_sampling import continued
from atoll_worker.evaluate.holdout import Answer
from atoll_worker.evaluate.systems import Asked, ask, known_part
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.language import LanguageTask
from atoll_worker.train.seeds import derive


@dataclass(frozen=True)
class TextEnsemble:
    """Experts of text, and what weighs them.

    Attributes:
        task: reads with them.
        experts: one an island, in order; None where it was lost.
        router: Centroid or Likelihood.
        prior_K: share of each part, of any scale.
        clusters: places a text, for Centroid.
    """

    task: LanguageTask
    experts: Sequence[nn.Module | None]
    router: Router
    prior_K: Tensor
    clusters: TextClusterer | None

    def present(self) -> Tensor:
        """Which experts are there: bool (K,)."""
        return torch.tensor([expert is not None for expert in self.experts])

    def prior(self, batch: int) -> Tensor:
        """The prior (B, K) over the experts that are there."""
        return renormalised(self.prior_K.expand(batch, -1), self.present())

    def read(self, inputs: Inputs) -> Tensor:
        """What each expert makes of each token: (K, B, T); zeros for those that are not there."""
        nothing = torch.zeros_like(inputs.target_BD)
        return torch.stack(
            [nothing if it is None else ask(self.task, it, inputs) for it in self.experts]
        )

    def weigh(self, text_BL: Tensor, read_KBT: Tensor, prefix: int) -> Tensor:
        """Routing weights (B, K) of texts by their first `prefix` tokens."""
        if self.router.centroid is not None:
            assert self.clusters is not None
            distance = self.clusters.distances(texts_of(text_BL[:, :prefix]))
            squared_BK = torch.from_numpy(distance).float()
            return centroid_probabilities(
                squared_BK, self.router.centroid.temperature, self.present()
            )
        return prefix_posterior(read_KBT, self.prior_K, self.present(), prefix - 1)

    @property
    def prefix(self) -> int:
        """Tokens of a text by which it is routed."""
        chosen = self.router.centroid or self.router.likelihood
        assert chosen is not None
        return chosen.prefix

    @property
    def running(self) -> bool:
        """Whether the tokens after the prefix count too, once they are read."""
        return self.router.likelihood is not None and self.router.likelihood.running


class Reading:
    """The experts' answers to each batch, kept: every rule mixes the same ones."""

    def __init__(self, ensemble: TextEnsemble) -> None:
        self._ensemble = ensemble
        self._kept: list[tuple[Inputs, Tensor]] = []

    def __call__(self, inputs: Inputs) -> Tensor:
        """(K, B, T), read once."""
        for known, read_KBT in self._kept:
            if known is inputs:
                return read_KBT
        read_KBT = self._ensemble.read(inputs)
        self._kept.append((inputs, read_KBT))
        return read_KBT


class TextAnswer:
    """An ensemble of text under a rule; one generator goes through all chunks."""

    def __init__(
        self, ensemble: TextEnsemble, reading: Reading, rule: combine.Rule, seed: int
    ) -> None:
        self._ensemble = ensemble
        self._reading = reading
        self._rule = rule
        self._generator = torch.Generator().manual_seed(derive(seed, "evaluate/holdout-rule"))
        self._active = 0.0
        self._weighed = 0

    def __call__(self, inputs: Inputs, asked: Asked) -> Tensor:
        """The mixture's probability (B, T) of each token."""
        read_KBT = self._reading(inputs)
        weight = self._weights(inputs.x_BD, asked, read_KBT)
        self._count(weight)
        return mixed(read_KBT, weight)

    def mean_active(self) -> float:
        """Experts evaluated for one text, on average so far."""
        return self._active / max(self._weighed, 1)

    def _weights(self, text_BL: Tensor, asked: Asked, read_KBT: Tensor) -> Tensor:
        of, generator = self._ensemble, self._generator
        prior_BK = of.prior(len(text_BL))
        part_B = known_part(asked.island_B, prior_BK, of.present())
        choice = combine.begin(self._rule, prior_BK, part_B, generator)
        if not combine.needs_router(self._rule):
            return combine.weights(choice, prior_BK, generator)
        if of.running:
            posterior_BTK = running_posterior(read_KBT, of.prior_K, of.present())
            weight = combine.weights(choice, posterior_BTK.flatten(0, 1), generator)
            return weight.reshape(posterior_BTK.shape)
        return combine.weights(choice, of.weigh(text_BL, read_KBT, of.prefix), generator)

    def _count(self, weight: Tensor) -> None:
        """By likelihood all experts read every text, whoever is weighed then."""
        rows = weight.numel() // weight.shape[-1]
        asks_all = self._ensemble.router.likelihood is not None
        everybody = int(self._ensemble.present().sum()) * rows
        by_rule = int(weight.count_nonzero())
        self._active += everybody if asks_all and combine.needs_router(self._rule) else by_rule
        self._weighed += rows


def mixed(read_KBT: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean (B, T) of the experts' probabilities; weights (B, K) or (B, T, K)."""
    each = weight.T.unsqueeze(2) if weight.dim() == 2 else weight.permute(2, 0, 1)
    return (each * read_KBT).sum(dim=0)


def uniform_answer(ensemble: TextEnsemble, reading: Reading) -> Answer:
    """All experts that are there alike: what a mixture is worth without routing."""
    present_1K = ensemble.present()[None].float()
    weight_1K = present_1K / present_1K.sum()

    def answer(inputs: Inputs, _: Asked) -> Tensor:
        return mixed(reading(inputs), weight_1K.expand(len(inputs.x_BD), -1))

    return answer


def averaged_model(models: Sequence[nn.Module]) -> nn.Module:
    """One model with the mean of the weights, the control that a mixture has to beat."""
    average = copy.deepcopy(models[0])
    states = [model.state_dict() for model in models]
    average.load_state_dict(
        {name: torch.stack([it[name] for it in states]).mean(dim=0) for name in states[0]}
    )
    return average


@dataclass(frozen=True)
class Writer:
    """Continues texts, by an ensemble under a rule or by one model."""

    task: LanguageTask
    ensemble: TextEnsemble | None
    rule: combine.Rule
    model: nn.Module | None = None
    """Instead of the ensemble."""

    def write(
        self, prompt_BL: Tensor, tokens: int, temperature: float, generator: torch.Generator
    ) -> Tensor:
        """The prompts (B, L) and `tokens` more; a text is routed by its prompt."""
        with torch.inference_mode():
            if self.model is not None:
                return continued(self._alone, prompt_BL, tokens, temperature, generator)
            return self._together(prompt_BL, tokens, temperature, generator)

    def _alone(self, text_BL: Tensor) -> Tensor:
        assert self.model is not None
        return _read(self.task, self.model, text_BL[:, -self.task.gpt.context :])[1]

    def _together(
        self, prompt_BL: Tensor, tokens: int, temperature: float, generator: torch.Generator
    ) -> Tensor:
        of = cast("TextEnsemble", self.ensemble)
        prior_BK = of.prior(len(prompt_BL))
        choice = combine.begin(self.rule, prior_BK, prior_BK.argmax(dim=1), generator)
        routed: list[Tensor] = []

        def next_token(text_BL: Tensor) -> Tensor:
            seen_BL = text_BL[:, -self.task.gpt.context :]
            read_KBT, next_KBV = _read_on(of, seen_BL)
            if of.running or not routed:
                routed[:] = [of.weigh(seen_BL, read_KBT, seen_BL.shape[1])]
            return mixed(next_KBV, combine.weights(choice, routed[0], generator))

        return continued(next_token, prompt_BL, tokens, temperature, generator)


def _read_on(of: TextEnsemble, text_BL: Tensor) -> tuple[Tensor, Tensor]:
    """(K, B, T) and (K, B, V): what each expert made of the text, and what it expects next."""
    known = [None if it is None else _read(of.task, it, text_BL) for it in of.experts]
    there = next(it for it in known if it is not None)
    came, after = (torch.zeros_like(there[0]), torch.zeros_like(there[1]))
    return (
        torch.stack([came if it is None else it[0] for it in known]),
        torch.stack([after if it is None else it[1] for it in known]),
    )


def _read(task: LanguageTask, model: nn.Module, text_BL: Tensor) -> tuple[Tensor, Tensor]:
    came_BT, after_BV = task.read(model, device.beside(text_BL, model))
    return came_BT.to(device.CPU), after_BV.to(device.CPU)
