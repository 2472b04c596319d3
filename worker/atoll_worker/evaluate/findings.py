"""Put the numbers of a job together: what was measured here and what each process said."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from atoll_api import names
from atoll_api.names import Ref
from atoll_api.work_order import EvaluateOrder
from atoll_worker.evaluate.candidates import BASELINE, MERGED
from atoll_worker.evaluate.holdout import Holdout, answer_of_model
from atoll_worker.evaluate.loading import Job, model_ref
from atoll_worker.evaluate.merging import merging_facts
from atoll_worker.evaluate.reference import Reference
from atoll_worker.evaluate.scoring import Scored
from atoll_worker.evaluate.text_candidates import text_facts
from atoll_worker.report.document import (
    DataFacts,
    Findings,
    PartitionFacts,
    RouterBin,
    RouterFacts,
    SamplingFacts,
    TrainedModel,
)
from atoll_worker.report.verdict import judge


def assemble(
    job: Job,
    order: EvaluateOrder,
    scored: Mapping[str, Scored],
    holdout: Holdout,
    reference: Reference | None,
) -> Findings:
    """All findings of a job."""
    systems = tuple(it.scores for it in scored.values())
    counted = range(job.assignment.count)
    islands = tuple(_island(job, order, island, holdout) for island in counted)
    baseline = scored.get(BASELINE)
    merging = merging_facts(job, order)
    chosen = MERGED if order.merging else order.combine.type
    return Findings(
        seed=order.seed,
        data=_data(job, order),
        partition=_partition(job, order),
        contract=dict(job.task.contract()),
        combine=chosen,
        systems=systems,
        islands=islands,
        baseline=_baseline(job),
        router=_router(job),
        text=None if order.merging else text_facts(job, order, holdout),
        merging=merging,
        sampling=None if reference is None else _sampling(order, job, reference),
        verdict=judge(
            scored[chosen].scores,
            baseline.scores if baseline else None,
            islands,
            systems,
            merging,
            own_data=not job.assignment.divided,
        ),
        parents={str(ref): digest for ref, digest in job.digests.items()},
    )


def _data(job: Job, order: EvaluateOrder) -> DataFacts:
    data = job.dataset
    return DataFacts(
        source=order.data.source,
        digest=data.digest,
        train_samples=len(data.train),
        holdout_samples=len(data.holdout),
        sample_shape=data.sample.shape,
        class_names=data.class_names,
        normalisation=data.normalisation,
    )


def _partition(job: Job, order: EvaluateOrder) -> PartitionFacts:
    said, sizes = _metadata(job, names.ASSIGNMENT_REF), _sizes(job, order)
    return PartitionFacts(
        type=said["partition"],
        assignment_hash=job.assignment.digest,
        sizes=sizes,
        imbalance=max(sizes) * len(sizes) / sum(sizes),
    )


def _sizes(job: Job, order: EvaluateOrder) -> tuple[int, ...]:
    """Training samples of each island; 0 for one that was lost with data of its own."""
    if job.assignment.divided:
        return job.assignment.sizes
    refs = [model_ref(order, island) for island in range(order.count)]
    return tuple(_metadata(job, ref)["trainSamples"] if ref in job.artifacts else 0 for ref in refs)


def _sampling(order: EvaluateOrder, job: Job, reference: Reference) -> SamplingFacts:
    net = reference.net
    inputs = job.dataset.x_ND[0].numel()
    labels = "k-means clusters" if net.pseudo_labels else "labels"
    return SamplingFacts(
        samples=order.evaluation.samples,
        seeds=order.evaluation.seeds,
        sampler=order.evaluation.sampler,
        steps=order.evaluation.sampler_steps,
        features=f"32 tanh units of a {inputs}-128-32 net trained on the training samples' {labels}",
        floor=reference.floor,
        holdout_nearest_train=reference.holdout_nearest,
    )


def _island(job: Job, order: EvaluateOrder, island: int, holdout: Holdout) -> TrainedModel:
    ref = model_ref(order, island)
    size = _sizes(job, order)[island]
    expert = job.ensemble.experts[island]
    if expert is None:
        return TrainedModel(
            name=f"island {island}", island=island, present=False, train_samples=size
        )
    judged = holdout.judge(answer_of_model(job.task, expert))
    losses_N = judged.losses_N.double()
    own_N = holdout.islands() == island
    return _trained(job, ref, f"island {island}", size).model_copy(
        update={
            "island": island,
            "own_part_loss": _mean(losses_N[own_N]),
            "other_parts_loss": _mean(losses_N[~own_N]),
            "measures": {name: float(it.double().mean()) for name, it in judged.measures.items()},
        }
    )


def _baseline(job: Job) -> TrainedModel | None:
    if job.baseline is None:
        return None
    return _trained(job, names.BASELINE_REF, "baseline", len(job.dataset.train))


def _trained(job: Job, ref: Ref, name: str, size: int) -> TrainedModel:
    said = _metadata(job, ref)
    return TrainedModel(
        name=name,
        present=True,
        digest=job.digests[ref],
        parameters=said["parameters"],
        steps=said["step"],
        samples_seen=said["samplesSeen"],
        train_samples=size,
        initial_holdout_loss=said["initialHoldoutLoss"],
        final_holdout_loss=said["finalHoldoutLoss"],
        gate_passed=said["gatePassed"],
        encoding=job.artifacts[ref].encoding,
        loss_curve=tuple((float(step), float(loss)) for step, loss in said["lossCurve"]),
    )


def _router(job: Job) -> RouterFacts | None:
    if names.ROUTER_REF not in job.artifacts:
        return None
    said = _metadata(job, names.ROUTER_REF)
    return RouterFacts(
        digest=job.digests[names.ROUTER_REF],
        parameters=said["parameters"],
        chance=max(job.assignment.sizes) / sum(job.assignment.sizes),
        bins=tuple(map(_bin, _list(said["holdout"]["byTime"]))),
    )


def _bin(said: Mapping[str, Any]) -> RouterBin:
    return RouterBin(
        time_low=said["from"],
        time_high=said["to"],
        accuracy=said["accuracy"],
        cross_entropy=said["crossEntropy"],
        calibration_error=said["ece"],
        confidence=said["meanConfidence"],
    )


def _metadata(job: Job, ref: Ref) -> Mapping[str, Any]:
    return job.artifacts[ref].metadata


def _list(value: Any) -> Sequence[Mapping[str, Any]]:
    return list(value)


def _mean(values_N: Tensor) -> float | None:
    return float(values_N.mean()) if len(values_N) else None
