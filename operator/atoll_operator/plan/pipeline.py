"""Turns a job into steps with needs. Nothing else knows the order of a strategy.

A new strategy is one function here, registered under the name of its variant.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from atoll_api import names
from atoll_api.spec import TrainingJobSpec
from atoll_operator.plan.model import Step


def pipeline(spec: TrainingJobSpec) -> tuple[Step, ...]:
    """The steps of a job; each comes after all that it needs."""
    return _STRATEGIES[spec.strategy.type](spec)


def _expert_ensemble(spec: TrainingJobSpec) -> tuple[Step, ...]:
    """One partition -> island 0..K-1 | router | baseline -> evaluate (arXiv 2501.05450)."""
    compared = (names.BASELINE,) if spec.baseline.enabled else ()
    evaluate = Step(
        name=names.EVALUATE,
        role="evaluate",
        writes=names.REPORT_REF,
        needs=(names.PARTITION, names.ROUTER, *compared),
        needs_islands=spec.islands.required,
    )
    baseline = Step(names.BASELINE, "baseline", names.BASELINE_REF, needs=(names.PARTITION,))
    return (
        Step(names.PARTITION, "partition", names.ASSIGNMENT_REF),
        *(_island(island) for island in range(spec.islands.count)),
        Step(names.ROUTER, "router", names.ROUTER_REF, needs=(names.PARTITION,)),
        *((baseline,) if spec.baseline.enabled else ()),
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
        Step(names.PARTITION, "partition", names.ASSIGNMENT_REF),
        *(_merging_island(spec, island) for island in range(spec.islands.count)),
        Step(names.MERGE, "merge", names.MERGED_REF, needs=after),
        *((baseline,) if spec.baseline.enabled else ()),
        Step(names.EVALUATE, "evaluate", names.REPORT_REF, needs=needs),
    )


def _merging_island(spec: TrainingJobSpec, island: int) -> Step:
    """It ends with its last weights, or with what it measures on the mean of all."""
    settings = spec.strategy.iterative_merge or spec.strategy.single_merge
    assert settings is not None  # the union has filled it
    measures = settings.final_merge.norm_statistics == "Reestimate"
    writes = names.statistics_ref(island) if measures else names.final_ref(island)
    return replace(_island(island), writes=writes)


def _island(island: int) -> Step:
    return Step(
        name=names.island_step(island),
        role="island",
        writes=names.expert_ref(island),
        island=island,
        needs=(names.PARTITION,),
    )


_STRATEGIES: Mapping[str, Callable[[TrainingJobSpec], tuple[Step, ...]]] = {
    "ExpertEnsemble": _expert_ensemble,
    "IterativeMerge": _merging,
    "SingleMerge": _merging,
}
