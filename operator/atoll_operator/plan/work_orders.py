"""What each process is told: a pure function of the job, the step and where the hub is."""

from dataclasses import dataclass
from typing import Any

from atoll_api import names
from atoll_api.hub_order import ArtifactStore, BucketStore, FolderStore
from atoll_api.spec import TrainingJobSpec
from atoll_api.spec.artifacts import Artifacts
from atoll_api.spec.strategy import ExpertEnsemble, LearnedRouter
from atoll_api.units import size_bytes
from atoll_api.work_order import (
    NOBODY,
    BaselineOrder,
    EvaluateOrder,
    HubOrder,
    IdentityFiles,
    IslandOrder,
    JobIdentity,
    PartitionOrder,
    RouterOrder,
    SeedOrder,
    WorkOrder,
)
from atoll_operator.plan.model import Step


@dataclass(frozen=True)
class Place:
    """Where the steps of a job run."""

    hub: str
    """HOST:PORT."""
    report_folder: str
    identity: IdentityFiles = NOBODY
    """Of the process that gets the order."""


@dataclass(frozen=True)
class HubPlace:
    """Where the hub of a job runs."""

    folder: str
    """Of the store; with an object store, of what is being received."""
    ready_file: str
    identity: IdentityFiles
    port: int = 0
    """0 lets the system choose."""
    holder: str = ""
    """Names this hub to another one that wants the same bucket; the same after a restart."""


def work_order(job: JobIdentity, spec: TrainingJobSpec, step: Step, place: Place) -> WorkOrder:
    """The order of one step. Every step has the threads of an island: a part of the result."""
    said: dict[str, Any] = {
        "job": job,
        "step": step.name,
        "identity": place.identity,
        "hub": place.hub,
        "seed": spec.seed,
        "threads": spec.islands.threads,
        "data": spec.data,
    }
    count = spec.islands.count
    match step.role:
        case "partition":
            return PartitionOrder(**said, **_division(spec), count=count)
        case "seed":
            seeding = {**_training(spec), "encoding": "Raw", "seeded": False}
            steps = _ensemble(spec).seed_steps
            return SeedOrder(**said, **seeding, count=count, steps=steps)
        case "island":
            assert step.island is not None
            return IslandOrder(**said, **_training(spec), island=step.island)
        case "baseline":
            return BaselineOrder(**said, **_training(spec), count=count, router=_learned(spec))
        case "router":
            router = _learned(spec)
            assert router is not None, "the pipeline has a router step for learned ones alone"
            trained = {**_training(spec), "seeded": False}
            return RouterOrder(**said, **trained, count=count, router=router)
        case "evaluate":
            return EvaluateOrder(**said, **_evaluation(spec), report_folder=place.report_folder)
        case "hub":
            raise ValueError("the hub is no step: see hub_order")


def hub_order(job: JobIdentity, artifacts: Artifacts, place: HubPlace) -> HubOrder:
    """The order of the hub."""
    return HubOrder(
        job=job,
        step=names.HUB,
        identity=place.identity,
        store=artifact_store(job, artifacts, place.folder, place.holder),
        quota_bytes=None if artifacts.quota is None else size_bytes(artifacts.quota),
        port=place.port,
        ready_file=place.ready_file,
    )


def artifact_store(
    job: JobIdentity, artifacts: Artifacts, folder: str, holder: str
) -> ArtifactStore:
    """Where the artifacts of a job live, whose hub has this folder and this name."""
    chosen = artifacts.storage.object_store
    if chosen is None:
        return FolderStore(folder=folder)
    bucket, _, prefix = chosen.url.removeprefix("s3://").partition("/")
    return BucketStore(
        bucket=bucket,
        prefix=names.job_prefix(prefix, job.name, job.uid),
        endpoint=chosen.endpoint and chosen.endpoint.rstrip("/"),
        region=chosen.region,
        spool=folder,
        holder=holder,
    )


def _division(spec: TrainingJobSpec) -> dict[str, Any]:
    delta = spec.exchange.encoding == "Delta" and not _seeded(spec)
    return {
        "context": spec.task.context,
        "partition": spec.partition,
        "batch_size": spec.training.batch_size_per_island,
        "initialization": spec.task if delta else None,
    }


def _training(spec: TrainingJobSpec) -> dict[str, Any]:
    return {
        "task": spec.task,
        "training": spec.training,
        "encoding": spec.exchange.encoding,
        "seeded": _seeded(spec),
    }


def _evaluation(spec: TrainingJobSpec) -> dict[str, Any]:
    return {
        "task": spec.task,
        "count": spec.islands.count,
        "quorum": spec.islands.required,
        "router": _ensemble(spec).router,
        "combine": _ensemble(spec).combine,
        "evaluation": spec.evaluation,
        "baseline": spec.baseline.enabled,
    }


def _seeded(spec: TrainingJobSpec) -> bool:
    ensemble = spec.strategy.expert_ensemble
    return ensemble is not None and ensemble.seed_steps > 0


def _learned(spec: TrainingJobSpec) -> LearnedRouter | None:
    ensemble = spec.strategy.expert_ensemble
    return ensemble.router.learned if ensemble else None


def _ensemble(spec: TrainingJobSpec) -> ExpertEnsemble:
    assert spec.strategy.expert_ensemble is not None  # the union has filled it
    return spec.strategy.expert_ensemble
