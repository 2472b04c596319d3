"""From a job's artifacts to models that can be asked."""

import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from atoll_api import names
from atoll_api.names import Ref
from atoll_api.work_order import EvaluateOrder
from atoll_worker import device
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.load import load
from atoll_worker.data.text_clusters import TextClusterer
from atoll_worker.ensemble.router import RouterNet
from atoll_worker.errors import ContractError
from atoll_worker.evaluate.systems import Ensemble, prior_table
from atoll_worker.ports import Artifact, Artifacts
from atoll_worker.tasks.base import Batch, Inputs, Task
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.fit import require_fit
from atoll_worker.train.protocol_check import build_model
from atoll_worker.train.seeds import derive


@dataclass(frozen=True)
class Job:
    """All artifacts of a job, as models.

    Attributes:
        task: the job's task.
        dataset: its data.
        assignment: who trained on what.
        ensemble: experts (None where one was lost), router and prior.
        clusters: what places a text, where the router needs it.
        merged: the model that the islands were merged into, or None.
        mergeability: what was measured of the islands on the way, by round.
        baseline: the baseline's model, or None.
        artifacts: what was read, by ref.
        digests: digests of the same.
        probe: a few corrupted samples, to count operations with.
    """

    task: Task
    dataset: Dataset
    assignment: Assignment
    ensemble: Ensemble
    clusters: TextClusterer | None
    merged: nn.Module | None
    mergeability: Sequence[Mapping[str, Any]]
    baseline: nn.Module | None
    artifacts: Mapping[Ref, Artifact]
    digests: Mapping[Ref, str]
    probe: Inputs


def load_job(order: EvaluateOrder, artifacts: Artifacts) -> Job:
    """Read experts, router and baseline, and check that they belong together.

    Raises:
        ContractError: fewer experts than the quorum, weights that were removed, or artifacts of
            different noise paths, parts or data.
        BadDataError: the data cannot be read.
        RejectedError: there is no assignment, or nothing that routes.
    """
    task, dataset = load_task(order.task), load(order.data, order.task.context)
    found, digests = _fetch(order, artifacts)
    _check_contracts(found, dict(task.contract()))
    assignment = Assignment.from_artifact(found[names.ASSIGNMENT_REF], dataset)
    model = build_model(task, dataset.sample, derive(order.seed, "init"))
    experts = [_loaded(model, model_ref(order, i), found) for i in range(assignment.count)]
    probe = _probe(task, dataset)
    label_N = None if probe.label_B is None else dataset.label_N
    train_label_N = None if label_N is None else label_N[dataset.train]
    prior_CK = prior_table(
        assignment.train_island_N, train_label_N, assignment.count, dataset.num_classes
    )
    return Job(
        task=task,
        dataset=dataset,
        assignment=assignment,
        ensemble=Ensemble(task, experts, _router(dataset, found, probe), prior_CK),
        clusters=_clusters(found, assignment.count),
        merged=_loaded(model, names.MERGED_REF, found),
        mergeability=_mergeability(artifacts) if order.merging else (),
        baseline=_loaded(model, names.BASELINE_REF, found),
        artifacts=found,
        digests=digests,
        probe=probe,
    )


def model_ref(order: EvaluateOrder, island: int) -> Ref:
    """Where the weights of one island are."""
    return names.final_ref(island) if order.merging else names.expert_ref(island)


def _mergeability(artifacts: Artifacts) -> Sequence[Mapping[str, Any]]:
    bound = artifacts.bindings("mergeability/")
    found = [artifacts.fetch(ref).metadata for ref in bound]
    return sorted((it for it in found if "gap" in it), key=lambda it: int(str(it["round"])))


def _fetch(
    order: EvaluateOrder, artifacts: Artifacts
) -> tuple[dict[Ref, Artifact], dict[Ref, str]]:
    bound = artifacts.bindings()
    experts = [ref for i in range(order.count) if (ref := model_ref(order, i)) in bound]
    read: dict[Ref, Artifact] = {}
    if order.merging:
        read[names.MERGED_REF] = artifacts.fetch(names.MERGED_REF)
        _check_none_is_gone(read[names.MERGED_REF], bound)
    if len(experts) < order.quorum:
        raise ContractError(
            f"{len(experts)} of {order.count} experts are there, the quorum is {order.quorum}: "
            "look at the islands that failed, or lower islands.quorum"
        )
    joined = (names.MERGED_REF,) if order.merging else _ROUTED_BY[order.router.type]
    wanted = [names.ASSIGNMENT_REF, *experts, *joined]
    if order.baseline and names.BASELINE_REF in bound:
        wanted.append(names.BASELINE_REF)
    found = {ref: read[ref] if ref in read else artifacts.fetch(ref) for ref in wanted}
    return found, {ref: bound[ref].digest for ref in wanted if ref in bound}


def _check_none_is_gone(merged: Artifact, bound: Collection[Ref]) -> None:
    """Refuse to score fewer islands than were merged: the others are not lost, their weights are."""
    islands: Any = merged.metadata.get("islands", [])
    for island in islands:
        if names.final_ref(island) not in bound:
            raise ContractError(
                f"{names.final_ref(island)} was merged and is gone, and those who would merge with "
                "it to make it again have finished: start a new job"
            )


def _check_contracts(found: Mapping[Ref, Artifact], contract: dict[str, str]) -> None:
    said = {ref: it.metadata["contract"] for ref, it in found.items() if "contract" in it.metadata}
    for ref, theirs in said.items():
        if theirs != contract:
            raise ContractError(
                f"{ref} was trained under the contract {theirs}, the job's task has {contract}: "
                "they cannot be combined; start a new job"
            )
    parts = {ref: it.metadata["assignmentHash"] for ref, it in found.items()}
    first = names.ASSIGNMENT_REF
    for ref, theirs in parts.items():
        if theirs != parts[first]:
            raise ContractError(
                f"{ref} was trained on the division {theirs}, {first} is {parts[first]}: "
                "they cannot be combined; start a new job"
            )


def _loaded(blank: nn.Module, ref: Ref, found: Mapping[Ref, Artifact]) -> nn.Module | None:
    if ref not in found:
        return None
    return _filled(copy.deepcopy(blank), ref, found[ref])


_ROUTED_BY: Mapping[str, tuple[Ref, ...]] = {
    "Learned": (names.ROUTER_REF,),
    "Centroid": (names.CLUSTERS_REF,),
    "Likelihood": (),
}
"""What is read for each type of router."""
_MOST = 8192
"""Of anything that counts in a router: `spec.strategy` allows no more."""
_Model = TypeVar("_Model", bound=nn.Module)


def _filled(model: _Model, ref: Ref, artifact: Artifact) -> _Model:
    require_fit(model.state_dict(), artifact.tensors, ref)
    model.load_state_dict(dict(artifact.tensors))
    return model.eval().to(device.chosen())


def _router(dataset: Dataset, found: Mapping[Ref, Artifact], probe: Inputs) -> RouterNet | None:
    artifact = found.get(names.ROUTER_REF)
    if artifact is None:
        return None
    count, width, depth = (_size(artifact, key) for key in ("count", "width", "depth"))
    classes = 0 if probe.label_B is None else dataset.num_classes
    sample = dataclasses.replace(dataset.sample, num_classes=classes)
    return _filled(RouterNet(sample, count, width, depth), names.ROUTER_REF, artifact)


def _clusters(found: Mapping[Ref, Artifact], count: int) -> TextClusterer | None:
    artifact = found.get(names.CLUSTERS_REF)
    if artifact is None:
        return None
    clusters = TextClusterer.from_artifact(artifact)
    if len(clusters.centres_KC) != count:
        raise ContractError(
            f"{names.CLUSTERS_REF} has {len(clusters.centres_KC)} centres for {count} islands: "
            "start a new job"
        )
    return clusters


def _probe(task: Task, dataset: Dataset) -> Inputs:
    rows = dataset.train[:16]
    label_B = None if dataset.label_N is None else dataset.label_N[rows]
    return task.corrupt(
        Batch(dataset.x_ND[rows], label_B, dataset.num_classes), torch.Generator().manual_seed(0)
    )


def _size(artifact: Artifact, key: str) -> int:
    value = artifact.metadata.get(key)
    if not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ContractError(
            f"{names.ROUTER_REF} says {key} {str(value)[:20]}, not 1 to {_MOST}: start a new job"
        )
    return value
