"""Turns a job into steps with needs. Nothing else knows the order of a strategy.

A new strategy is one function here, registered under the name of its variant.
"""

from collections.abc import Callable, Mapping

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
}
