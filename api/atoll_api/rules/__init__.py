"""Rules that join fields: combinations that cannot work, and those that rarely do.

A rule that the API server can check as well is CEL on the type it speaks of (`cel_rules`);
what stands here needs fields that lie apart.
"""

import math
from collections.abc import Iterator

from atoll_api.rules import data, merging, pods, tasks
from atoll_api.rules.data import BUILTIN_DATASETS
from atoll_api.rules.finding import Finding
from atoll_api.spec.job import TrainingJobSpec
from atoll_api.units import size_bytes

__all__ = ["BUILTIN_DATASETS", "Finding", "violations", "warnings", "warnings_of_clusters"]

SMALL_BATCH = 32
"""Experts train poorly below it (McAllister et al., section 4.3: 16 experts)."""


def violations(spec: TrainingJobSpec) -> Iterator[Finding]:
    """Combinations that cannot work."""
    yield from _quorum(spec)
    yield from data.violations(spec)
    yield from _fine_clusters(spec)
    yield from _top_k(spec)
    yield from _transformer_heads(spec)
    yield from _repeated_strategies(spec)
    yield from _quota_within_claim(spec)
    yield from _delta_base(spec)
    yield from tasks.violations(spec)
    yield from merging.violations(spec)
    yield from pods.violations(spec)


def warnings(spec: TrainingJobSpec) -> Iterator[Finding]:
    """Combinations that work and are probably not wanted."""
    batch_size = spec.training.batch_size_per_island
    if batch_size < SMALL_BATCH and spec.task.type != "Language":  # a text is many tokens
        yield Finding(
            "training.batchSizePerIsland",
            f"{batch_size} is small: experts train poorly below {SMALL_BATCH}",
            "use fewer islands or a larger batch",
        )
    if _collapses(spec):
        yield Finding(
            "strategy.expertEnsemble.combine",
            "TopK with k = 1 and a router that is not told the class collapses the samples",
            "use Full, Threshold or Sticky, or conditioning: Class",
        )
    yield from data.warnings(spec)
    yield from merging.warnings(spec)


def warnings_of_clusters(spec: TrainingJobSpec) -> Iterator[Finding]:
    """Warnings, and what does not matter on a laptop."""
    yield from warnings(spec)
    yield from pods.warnings(spec)


def _quorum(spec: TrainingJobSpec) -> Iterator[Finding]:
    islands = spec.islands
    if islands.required > islands.count:
        yield Finding(
            "islands.quorum",
            f"{islands.required} islands must finish, but there are {islands.count}",
            f"say {islands.count} or less",
        )


def _fine_clusters(spec: TrainingJobSpec) -> Iterator[Finding]:
    clusters = spec.partition.feature_clusters
    if clusters is not None and clusters.fine_clusters < spec.islands.count:
        yield Finding(
            "partition.featureClusters.fineClusters",
            f"{clusters.fine_clusters} fine clusters cannot make {spec.islands.count} parts",
            "say 16 times the islands or more",
        )


def _top_k(spec: TrainingJobSpec) -> Iterator[Finding]:
    ensemble = spec.strategy.expert_ensemble
    top_k = ensemble.combine.top_k if ensemble else None
    if top_k is not None and top_k.k > spec.islands.count:
        yield Finding(
            "strategy.expertEnsemble.combine.topK.k",
            f"{top_k.k} experts are more than the {spec.islands.count} islands",
            f"say {spec.islands.count} or less, or type: Full",
        )


def _transformer_heads(spec: TrainingJobSpec) -> Iterator[Finding]:
    dit = spec.task.diffusion.architecture.dit if spec.task.diffusion else None
    if dit is None:
        return
    unit = math.lcm(4, dit.heads)  # 4: sine and cosine of two coordinates
    if dit.width % unit:
        yield Finding(
            "task.diffusion.architecture.dit.width",
            f"{dit.width} is not a multiple of 4 and of {dit.heads} heads",
            f"say {max(1, dit.width // unit) * unit}",
        )


def _repeated_strategies(spec: TrainingJobSpec) -> Iterator[Finding]:
    strategies = spec.evaluation.strategies
    repeated = sorted({name for name in strategies if strategies.count(name) > 1})
    if repeated:
        yield Finding(
            "evaluation.strategies", f"{', '.join(repeated)} stands twice", "name each once"
        )


def _quota_within_claim(spec: TrainingJobSpec) -> Iterator[Finding]:
    quota, claim = spec.artifacts.quota, spec.artifacts.storage.persistent_volume_claim
    if quota is not None and claim is not None and size_bytes(quota) > size_bytes(claim.size):
        yield Finding(
            "artifacts.quota",
            f"{quota} is more than the claim of {claim.size} holds",
            f"say {claim.size} or less, or claim more",
        )


def _delta_base(spec: TrainingJobSpec) -> Iterator[Finding]:
    merging = spec.strategy.iterative_merge or spec.strategy.single_merge
    independent = merging is not None and merging.initialization == "Independent"
    if spec.exchange.encoding == "Delta" and independent:
        yield Finding(
            "exchange.encoding",
            "Delta is a change from weights that all islands share, and these begin apart",
            "say BFloat16, or initialization: Shared",
        )


def _collapses(spec: TrainingJobSpec) -> bool:
    ensemble, diffusion = spec.strategy.expert_ensemble, spec.task.diffusion
    top_k = ensemble.combine.top_k if ensemble else None
    unconditional = diffusion is not None and diffusion.conditioning == "None"
    return top_k is not None and top_k.k == 1 and spec.islands.count > 1 and unconditional
