"""Scores of several systems, each from the same noise and on the same holdout."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from atoll_worker.evaluate.distance import correlation, frechet, total_variation
from atoll_worker.evaluate.holdout import Answer, Holdout
from atoll_worker.evaluate.reference import Reference
from atoll_worker.evaluate.sampling import Draw, Pool, Sampler, collect
from atoll_worker.report.document import SampleScores, Spread, SystemScores

GRID_SAMPLES = 64


@dataclass(frozen=True)
class Candidate:
    """One system to score."""

    name: str
    settings: dict[str, float]
    parameters: int
    expert_flops: int
    """Of one model, for one sample and one evaluation of the field."""
    router_flops: int
    """The same for the router; 0 where it is not asked."""
    answer: Answer
    mean_active: Callable[[], float]
    """Models evaluated for one sample, once `answer` has been asked."""
    draw: Draw | None = None
    """None for a task that cannot be sampled."""


@dataclass(frozen=True)
class Scored:
    """Scores, and samples of the first seed for a picture."""

    scores: SystemScores
    grid_ND: Tensor | None
    first: tuple[Tensor, ...]
    """The first samples of each seed, for pairing with another system."""


def score(
    candidate: Candidate,
    sampling: tuple[Sampler, Reference] | None,
    holdout: Holdout,
    baseline: Scored | None,
    tick: Callable[[], None],
) -> Scored:
    """Score one system.

    Args:
        candidate: the system.
        sampling: how to draw and what to compare with; None for holdout losses only.
        holdout: the corrupted holdout.
        baseline: scores to compare with, or None.
        tick: called after each sampling seed.
    """
    judged = holdout.judge(candidate.answer)
    pools = _pools(candidate, sampling, tick)
    active = statistics.fmean(p.mean_active for p in pools) if pools else candidate.mean_active()
    scores = SystemScores(
        name=candidate.name,
        settings=candidate.settings,
        parameters=candidate.parameters,
        mean_active_experts=active,
        flops_per_step=active * candidate.expert_flops + candidate.router_flops,
        holdout_loss=_mean(judged.losses_N),
        measures={name: _mean(it) for name, it in judged.measures.items()},
    )
    if sampling is None or not pools:
        return Scored(scores, None, ())
    samples = _sample_scores(pools, sampling[1], baseline)
    update = {"samples": samples, "frechet_ratio": _ratio(samples, baseline)}
    first = tuple(pool.first_ND for pool in pools)
    return Scored(scores.model_copy(update=update), first[0][:GRID_SAMPLES].clone(), first)


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation."""
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return Spread(mean=statistics.fmean(values), sd=sd, values=tuple(values))


def _mean(value_N: Tensor) -> float:
    return float(value_N.double().mean())


def _pools(
    candidate: Candidate, sampling: tuple[Sampler, Reference] | None, tick: Callable[[], None]
) -> list[Pool]:
    if sampling is None or candidate.draw is None:
        return []
    sampler, reference = sampling
    pools = []
    for index in range(sampler.evaluation.seeds):
        pools.append(collect(sampler, candidate.draw, reference, index))
        tick()
    return pools


def _sample_scores(pools: list[Pool], real: Reference, baseline: Scored | None) -> SampleScores:
    paired = _paired(pools, baseline)
    return SampleScores(
        frechet_train=spread([frechet(pool.features, real.train) for pool in pools]),
        frechet_holdout=spread([frechet(pool.features, real.holdout) for pool in pools]),
        label_variation=spread(
            [total_variation(pool.label_share_C, real.label_share_C) for pool in pools]
        ),
        part_variation=_part_variation(pools, real),
        nearest_train=spread([pool.nearest_train for pool in pools]),
        same_noise_correlation=paired[0] if paired else None,
        shuffled_correlation=paired[1] if paired else None,
    )


def _part_variation(pools: list[Pool], real: Reference) -> Spread | None:
    """None where nobody knows which parts the islands have."""
    if not bool(real.part_share_K.any()):
        return None
    return spread([total_variation(pool.part_share_K, real.part_share_K) for pool in pools])


def _paired(pools: list[Pool], baseline: Scored | None) -> tuple[float, float] | None:
    if baseline is None or not baseline.first:
        return None
    pairs = [(p.first_ND, other) for p, other in zip(pools, baseline.first, strict=True)]
    same = statistics.fmean(correlation(a, b) for a, b in pairs)
    shuffled = statistics.fmean(correlation(a, b.roll(1, dims=0)) for a, b in pairs)
    return same, shuffled


def _ratio(samples: SampleScores, baseline: Scored | None) -> float | None:
    if baseline is None or baseline.scores.samples is None:
        return None
    return samples.frechet_train.mean / max(baseline.scores.samples.frechet_train.mean, 1e-12)
