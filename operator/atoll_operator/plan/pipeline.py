"""Turns a job into steps with needs. Nothing else knows the order of a strategy.

A new strategy is one function here, registered under the name of its variant.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from atoll_api import names
from atoll_api.names import StepName
from atoll_api.ordering import binds_initialization
from atoll_api.spec import TrainingJobSpec
from atoll_api.work_order import written_by_member, written_by_partition
from atoll_operator.plan.model import Step


def pipeline(spec: TrainingJobSpec) -> tuple[Step, ...]:
    """The steps of a job; each comes after all that it needs."""
    return _STRATEGIES[spec.strategy.type](spec)


def _expert_ensemble(spec: TrainingJobSpec) -> tuple[Step, ...]:
    """One partition [-> seed] -> island 0..K-1 | router | baseline -> evaluate (2501.05450).

    Only a learned router is a step: centroids come with the partition, and likelihoods with the
    experts.
    """
    ensemble = spec.strategy.expert_ensemble
    assert ensemble is not None  # the union has filled it
    seed = Step(names.SEED, "seed", names.SEED_REF, needs=(names.PARTITION,))
    router = Step(names.ROUTER, "router", names.ROUTER_REF, needs=(names.PARTITION,))
    before = (names.PARTITION, names.SEED) if ensemble.seed_steps else (names.PARTITION,)
    baseline = Step(names.BASELINE, "baseline", names.BASELINE_REF, needs=before)
    beside = (
        *((router,) if ensemble.router.type == "Learned" else ()),
        *((baseline,) if spec.baseline.enabled else ()),
    )
    evaluate = Step(
        name=names.EVALUATE,
        role="evaluate",
        writes=names.REPORT_REF,
        needs=(names.PARTITION, *(step.name for step in beside)),
        needs_islands=spec.islands.required,
    )
    return (
        _partition(spec),
        *((seed,) if ensemble.seed_steps else ()),
        *(_island(island, before) for island in range(spec.islands.count)),
        *beside,
        evaluate,
    )


def _merging(spec: TrainingJobSpec) -> tuple[Step, ...]:
    """One partition -> island 0..K-1, which exchange weights, | merge | baseline -> evaluate.

    The merge watches from the beginning: it measures on the way how well the islands merge.
    """
    compared = (names.BASELINE,) if spec.baseline.enabled else ()
    after = (names.PARTITION,)
    baseline = Step(names.BASELINE, "baseline", names.BASELINE_REF, needs=after)
    needs = (*after, names.MERGE, *compared)
    return (
        _partition(spec),
        *(_merging_island(spec, island) for island in range(spec.islands.count)),
        Step(names.MERGE, "merge", names.MERGED_REF, needs=after),
        *((baseline,) if spec.baseline.enabled else ()),
        Step(names.EVALUATE, "evaluate", names.REPORT_REF, needs=needs),
    )


def _merging_island(spec: TrainingJobSpec, island: int) -> Step:
    """It ends with its last weights, or with what it measures on the mean of all."""
    settings = spec.strategy.iterative_merge or spec.strategy.single_merge
    assert settings is not None  # the union has filled it
    last, *before = written_by_member(island, settings.final_merge)
    return replace(_island(island, (names.PARTITION,)), writes=last, parts=tuple(before))


def _partition(spec: TrainingJobSpec) -> Step:
    last, *before = written_by_partition(
        spec.islands.count,
        base=binds_initialization(spec),
        centres=spec.partition.type == "TextClusters",
    )
    return Step(names.PARTITION, "partition", last, tuple(before))


def _island(island: int, needs: tuple[StepName, ...]) -> Step:
    return Step(
        name=names.island_step(island),
        role="island",
        writes=names.expert_ref(island),
        island=island,
        needs=needs,
    )


_STRATEGIES: Mapping[str, Callable[[TrainingJobSpec], tuple[Step, ...]]] = {
    "ExpertEnsemble": _expert_ensemble,
    "IterativeMerge": _merging,
    "SingleMerge": _merging,
}
