"""How much work a step is, and how long the rest of the job may take.

Work is counted in samples that one expert trains on. Before a step has said how fast it is
these are estimates: good enough to start the longest step first and to move a bar.
"""

import math
from collections.abc import Callable, Mapping

from atoll_api.spec import TrainingJobSpec
from atoll_api.work_order import Role
from atoll_operator.plan.level import Fate, Level
from atoll_operator.plan.model import ChildState, Observed, Step, StepProgress

ROUTER_SHARE = 0.25
"""Of an expert's cost a sample: a router is smaller and its batch larger."""
FORWARD_SHARE = 1 / 30
"""A forward pass in a large batch, of one training sample at batch 64 (a third of the FLOPs,
and a tenth of the overhead)."""
EVALUATION_SHARE = 0.1
"""Of the islands' work, at least: loading the libraries and drawing the report."""
MERGE_SHARE = 0.02
"""Of the islands' work; most of its time it waits for them."""
PARTITION_SHARE = 0.02
"""Of the islands' work; depends on the data, which the plan does not see."""


def effort(spec: TrainingJobSpec, step: Step) -> float:
    """The work of a step, in samples that one expert trains on."""
    return _EFFORTS.get(step.role, _partition)(spec)


def percent(spec: TrainingJobSpec, level: Level, observed: Observed) -> int:
    """Work that is done, or that no longer has to be, of all work; 0 to 99."""
    total = sum(effort(spec, step) for step in level.steps)
    left = sum(_left(spec, level, step, observed) for step in level.steps)
    return min(99, math.floor(100 * (1 - left / total)))


def eta_seconds(spec: TrainingJobSpec, seen: Level, observed: Observed, now: float) -> int | None:
    """Seconds to the end at the rates observed now; None while a rate is missing.

    Before the last step, which needs all others, as many steps run at once as do now, and none
    ends sooner than its own rest takes. A step that waits gets the mean rate of those that train.
    """
    live = [step for step in seen.steps if _left(spec, seen, step, observed) > 0]
    rates = {step.name: _rate(spec, step, observed, now) for step in live}
    training = [rate for s in live if s.role in _WORK_A_SAMPLE and (rate := rates[s.name])]
    usual = sum(training) / len(training) if training else None
    seconds = []
    for step in live:
        rate = rates[step.name] or usual
        if rate is None:
            return None
        seconds.append(_left(spec, seen, step, observed) / rate)
    *before, last = seconds or [0.0]
    return math.ceil(max(*before, sum(before) / max(1, len(training)), 0.0) + last)


def _island(spec: TrainingJobSpec) -> float:
    return float(spec.training.steps * spec.training.batch_size_per_island)


def _islands(spec: TrainingJobSpec) -> float:
    return spec.islands.count * _island(spec)


def _partition(spec: TrainingJobSpec) -> float:
    return PARTITION_SHARE * _islands(spec)


def _seed(spec: TrainingJobSpec) -> float:
    ensemble = spec.strategy.expert_ensemble
    steps = ensemble.seed_steps if ensemble else 0
    return float(steps * spec.islands.count * spec.training.batch_size_per_island)


def _router(spec: TrainingJobSpec) -> float:
    """Centroids come with the partition, and likelihoods with the experts: nothing to train."""
    ensemble = spec.strategy.expert_ensemble
    learned = ensemble.router.learned if ensemble else None
    return ROUTER_SHARE * learned.steps * learned.batch_size if learned else 0.0


def _evaluation(spec: TrainingJobSpec) -> float:
    """Forward passes of all models under all strategies, in training samples."""
    wanted, islands, training = spec.evaluation, spec.islands.count, _islands(spec)
    if spec.task.type != "Diffusion":  # nothing is sampled
        return EVALUATION_SHARE * training
    evaluations = 2 if wanted.sampler == "Heun" else 1
    draws = wanted.samples * wanted.seeds * wanted.sampler_steps * evaluations
    models = islands + len(wanted.strategies) - 1 + int(spec.baseline.enabled)
    return max(FORWARD_SHARE * draws * models, EVALUATION_SHARE * training)


_EFFORTS: Mapping[Role, Callable[[TrainingJobSpec], float]] = {
    "island": _island,
    "seed": _seed,
    "baseline": lambda spec: _islands(spec) + _router(spec),
    "router": _router,
    "evaluate": _evaluation,
    "merge": lambda spec: MERGE_SHARE * _islands(spec),
}


def _left(spec: TrainingJobSpec, level: Level, step: Step, observed: Observed) -> float:
    if level.fates[step.name] in (Fate.DONE, Fate.FAILED):
        return 0.0
    report = observed.progress.get(step.name)
    return effort(spec, step) * (1 - fraction(report))


def fraction(report: StepProgress | None) -> float:
    """The part of its work that a step says it has done, 0 to 1."""
    if report is None or report.total <= 0:
        return 0.0
    return min(1.0, max(0.0, report.done / report.total))


def _rate(spec: TrainingJobSpec, step: Step, observed: Observed, now: float) -> float | None:
    """Work a second of a step that runs: from its own report, else from the time it has run."""
    child, report = observed.children.get(step.name), observed.progress.get(step.name)
    if child is None or child.state is not ChildState.RUNNING or report is None:
        return None
    if report.samples_per_second and step.role in _WORK_A_SAMPLE:
        return report.samples_per_second * _WORK_A_SAMPLE[step.role]
    if child.since is None or now <= child.since:
        return None
    return effort(spec, step) * fraction(report) / (now - child.since) or None


_WORK_A_SAMPLE: Mapping[Role, float] = {
    "seed": 1.0,
    "island": 1.0,
    "baseline": 1.0,
    "router": ROUTER_SHARE,
}
