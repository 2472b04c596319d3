"""Draw samples from an ensemble or a model, each seed and system from the same noise.

Shape suffixes: N samples, D the sample's own dimensions, F features.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from atoll_api.spec.evaluation import Evaluation
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.ensemble import combine
from atoll_worker.ensemble.samplers import Velocity, integrate
from atoll_worker.evaluate.distance import Gaussian, fit, nearest, shares
from atoll_worker.evaluate.reference import Reference
from atoll_worker.evaluate.systems import Asked, Ensemble, System, velocity_of
from atoll_worker.tasks.diffusion import DiffusionTask
from atoll_worker.train.seeds import derive

CHUNK_ROWS = 2048
"""Samples drawn at once: activations stay in the cache, memory stays bounded."""


@dataclass(frozen=True)
class Start:
    """Where one chunk of samples begins; the same for every system."""

    noise_ND: Tensor
    asked: Asked
    rule_seed: int


@dataclass(frozen=True)
class Pool:
    """The samples of one system and sampling seed.

    Attributes:
        first_ND: the samples of the first chunk.
        features: Gaussian of the features of all samples.
        label_share_C: share of each label.
        part_share_K: share of each part, by the nearest training sample.
        nearest_train: mean distance to the nearest training sample.
        mean_active: experts evaluated for one sample and step.
    """

    first_ND: Tensor
    features: Gaussian
    label_share_C: Tensor
    part_share_K: Tensor
    nearest_train: float
    mean_active: float


@dataclass(frozen=True)
class Sampler:
    """How samples are drawn: the same for every system of a job."""

    task: DiffusionTask
    dataset: Dataset
    assignment: Assignment
    evaluation: Evaluation
    seed: int

    def starts(self, index: int) -> Iterator[Start]:
        """The chunks of sampling seed `index`.

        Labels and parts are those of training samples drawn at random, so they have the
        training data's proportions.
        """
        count = self.evaluation.samples
        for chunk, first in enumerate(range(0, count, CHUNK_ROWS)):
            generator = torch.Generator()
            generator.manual_seed(derive(self.seed, "evaluate/noise", index, chunk))
            rows = min(CHUNK_ROWS, count - first)
            shape = (rows, *self.dataset.sample.shape)
            noise_ND = torch.randn(shape, generator=generator)
            drawn = torch.randint(len(self.dataset.train), (rows,), generator=generator)
            yield Start(
                noise_ND, self._asked(drawn), derive(self.seed, "evaluate/rule", index, chunk)
            )

    def _asked(self, drawn: Tensor) -> Asked:
        label_N = self.dataset.label_N
        told = None if label_N is None else label_N[self.dataset.train[drawn]]
        return Asked(self.task.condition(told), self.assignment.train_island_N[drawn])

    def integrate(self, velocity: Velocity, start: Start) -> Tensor:
        """The samples that begin at `start`."""
        with torch.inference_mode():
            return integrate(
                velocity, start.noise_ND, self.evaluation.sampler_steps, self.evaluation.sampler
            )


Draw = Callable[[Start], tuple[Tensor, float]]
"""Samples of one chunk, and the experts evaluated for one of them in a step."""


def draw_of_ensemble(sampler: Sampler, ensemble: Ensemble, rule: combine.Rule) -> Draw:
    """Draw from an ensemble under a rule."""

    def draw(start: Start) -> tuple[Tensor, float]:
        generator = torch.Generator().manual_seed(start.rule_seed)
        system = System(ensemble, rule, start.asked, generator)
        return sampler.integrate(system.velocity, start), system.mean_active

    return draw


def draw_of_model(sampler: Sampler, model: nn.Module) -> Draw:
    """Draw from one model alone."""

    def draw(start: Start) -> tuple[Tensor, float]:
        def velocity(x_BD: Tensor, time_B: Tensor) -> Tensor:
            return velocity_of(sampler.task, model, start.asked, x_BD, time_B)

        return sampler.integrate(velocity, start), 1.0

    return draw


def collect(sampler: Sampler, draw: Draw, reference: Reference, index: int) -> Pool:
    """All samples of one system and sampling seed, described."""
    chunks = [_describe(*draw(start), reference) for start in sampler.starts(index)]
    weights = [len(chunk.label_N) / sampler.evaluation.samples for chunk in chunks]
    return Pool(
        first_ND=chunks[0].x_ND,
        features=fit(torch.cat([chunk.features_NF for chunk in chunks])),
        label_share_C=shares(
            torch.cat([chunk.label_N for chunk in chunks]), reference.net.num_classes
        ),
        part_share_K=shares(
            torch.cat([chunk.island_N for chunk in chunks]), sampler.assignment.count
        ),
        nearest_train=sum(w * c.nearest for w, c in zip(weights, chunks, strict=True)),
        mean_active=sum(w * c.mean_active for w, c in zip(weights, chunks, strict=True)),
    )


@dataclass(frozen=True)
class _Chunk:
    x_ND: Tensor
    features_NF: Tensor
    label_N: Tensor
    island_N: Tensor
    nearest: float
    mean_active: float


def _describe(x_ND: Tensor, mean_active: float, reference: Reference) -> _Chunk:
    features_NF = reference.net.features(x_ND)
    distance_N, index_N = nearest(x_ND, reference.neighbour_MD)
    return _Chunk(
        x_ND=x_ND,
        features_NF=features_NF,
        label_N=reference.net.labels(features_NF),
        island_N=reference.neighbour_island_M[index_N],
        nearest=float(distance_N.mean()),
        mean_active=mean_active,
    )


def few(sampler: Sampler, count: int) -> Sampler:
    """The same sampler for `count` samples: for a picture, not for a score."""
    return replace(sampler, evaluation=sampler.evaluation.model_copy(update={"samples": count}))
