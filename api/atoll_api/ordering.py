"""What each process is told: a pure function of the job, the process and where the hub is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll_api import graphs, names
from atoll_api.hub_order import ArtifactStore, BucketStore, FolderStore
from atoll_api.names import Process
from atoll_api.spec import TrainingJobSpec
from atoll_api.spec.artifacts import Artifacts
from atoll_api.spec.strategy import Combine, LearnedRouter, Router
from atoll_api.units import size_bytes
from atoll_api.work_order import (
    NOBODY,
    STARTUP_SECONDS,
    BaselineOrder,
    EvaluateOrder,
    HubOrder,
    IdentityFiles,
    IslandOrder,
    JobIdentity,
    MergeOrder,
    MergingOrder,
    PartitionOrder,
    RouterOrder,
    SeedOrder,
    WorkOrder,
)

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where the steps of a job run."""

    hub: str
    """HOST:PORT."""
    report_folder: str
    identity: IdentityFiles = NOBODY
    """Of the process that gets the order."""
    listen: str = LOOPBACK
    """Where an island serves its neighbours."""
    listen_port: int = 0
    """0 lets the system choose."""
    advertised: str = ""
    """What an island's neighbours dial, if that is another."""
    publish_page: bool = False
    """Whether the report's files are published too, since nobody can open that folder."""
    startup_seconds: int = STARTUP_SECONDS
    """How long a process waits for the hub before it gives up."""


@dataclass(frozen=True)
class HubPlace:
    """Where the hub of a job runs."""

    folder: str
    """Of the store; with an object store, of what is being received."""
    ready_file: str
    identity: IdentityFiles
    host: str = LOOPBACK
    port: int = 0
    """0 lets the system choose."""
    holder: str = ""
    """Names this hub to another one that wants the same bucket; the same after a restart."""


def work_order(
    job: JobIdentity, spec: TrainingJobSpec, process: Process, place: Place
) -> WorkOrder:
    """The order of the process of one step.

    Every step has the threads of an island: they are a part of the result.
    """
    said: dict[str, Any] = {
        "job": job,
        "step": process.step,
        "identity": place.identity,
        "hub": place.hub,
        "startup_seconds": place.startup_seconds,
        "seed": spec.seed,
        "threads": spec.islands.threads,
        "data": spec.shared_data,
    }
    if process.role not in _ORDERS:
        raise ValueError(f"{process.role} is no step: see hub_order")
    kind, fields = _ORDERS[process.role]
    return kind(**{**said, **fields(spec, process, place)})


def hub_order(job: JobIdentity, spec: TrainingJobSpec, place: HubPlace) -> HubOrder:
    """The order of the hub."""
    artifacts, merging, around = spec.artifacts, _merging(spec), neighbours(spec)
    complete = all(len(it) == len(around) - 1 for it in around)
    halved = not complete and graphs.are_halves(around)
    return HubOrder(
        job=job,
        step=names.HUB,
        identity=place.identity,
        store=artifact_store(job, artifacts, place.folder, place.holder),
        quota_bytes=None if artifacts.quota is None else size_bytes(artifacts.quota),
        neighbours=() if complete or halved else around,
        everybody=len(around) if complete else 0,
        halves=len(around) if halved else 0,
        common_basis=merging is not None and merging.common_basis,
        host=place.host,
        port=place.port,
        ready_file=place.ready_file,
    )


def neighbours(spec: TrainingJobSpec) -> graphs.Neighbours:
    """For each island, those whose snapshots it may read; () where islands exchange nothing."""
    settings = spec.strategy.iterative_merge or spec.strategy.single_merge
    return () if settings is None else graphs.neighbours_of(settings, spec.islands.count)


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


def _division(spec: TrainingJobSpec, _process: Process, _place: Place) -> dict[str, Any]:
    return {
        "context": spec.task.context,
        "partition": spec.partition,
        "count": spec.islands.count,
        "batch_size": spec.training.batch_size_per_island,
        "initialization": spec.task if binds_initialization(spec) else None,
    }


def binds_initialization(spec: TrainingJobSpec) -> bool:
    """Whether the weights that all begin with are bound: where somebody compares his with them."""
    merging = _merging(spec)
    shared = merging is not None and merging.settings.initialization == "Shared"
    delta = spec.exchange.encoding == "Delta" and not _seeded(spec)
    return shared or delta


def _training(spec: TrainingJobSpec) -> dict[str, Any]:
    return {
        "task": spec.task,
        "training": spec.training,
        "encoding": spec.exchange.encoding,
        "seeded": _seeded(spec),
    }


def _seeding(spec: TrainingJobSpec, _process: Process, _place: Place) -> dict[str, Any]:
    ensemble = spec.strategy.expert_ensemble
    steps = ensemble.seed_steps if ensemble else 0
    fresh = {"encoding": "Raw", "seeded": False}
    return {**_training(spec), **fresh, "count": spec.islands.count, "steps": steps}


def _island(spec: TrainingJobSpec, process: Process, place: Place) -> dict[str, Any]:
    own = spec.partition.type == "PerIsland"
    return {
        **_training(spec),
        "data": spec.data_of(process.index),
        "brings_data": own,
        "island": process.index,
        "merging": _merging(spec),
        "listen": place.listen,
        "listen_port": place.listen_port,
        "advertised": place.advertised,
    }


def _baseline(spec: TrainingJobSpec, _process: Process, _place: Place) -> dict[str, Any]:
    return {**_training(spec), "count": spec.islands.count, "router": _learned(spec)}


def _router(spec: TrainingJobSpec, _process: Process, _place: Place) -> dict[str, Any]:
    own = {"seeded": False, "count": spec.islands.count, "router": _learned(spec)}
    return {**_training(spec), **own}


def _merging(spec: TrainingJobSpec) -> MergingOrder | None:
    iterative, single = spec.strategy.iterative_merge, spec.strategy.single_merge
    if iterative is None and single is None:
        return None
    return MergingOrder(count=spec.islands.count, iterative=iterative, single=single)


def _merge(spec: TrainingJobSpec, _process: Process, _place: Place) -> dict[str, Any]:
    return {
        "task": spec.task,
        "merging": _merging(spec),
        "steps": spec.training.steps,
        "quorum": spec.islands.required,
        "encoding": spec.exchange.encoding,
    }


def _evaluation(spec: TrainingJobSpec, _process: Process, place: Place) -> dict[str, Any]:
    ensemble = spec.strategy.expert_ensemble
    return {
        "task": spec.task,
        "count": spec.islands.count,
        "quorum": spec.islands.required,
        "router": ensemble.router if ensemble else Router(type="Learned"),
        "combine": ensemble.combine if ensemble else Combine(type="Full"),
        "merging": _merging(spec),
        "evaluation": spec.evaluation,
        "baseline": spec.baseline.enabled,
        "report_folder": place.report_folder,
        "publish_page": place.publish_page,
    }


def _seeded(spec: TrainingJobSpec) -> bool:
    ensemble = spec.strategy.expert_ensemble
    return ensemble is not None and ensemble.seed_steps > 0


def _learned(spec: TrainingJobSpec) -> LearnedRouter | None:
    ensemble = spec.strategy.expert_ensemble
    return ensemble.router.learned if ensemble else None


_ORDERS: Mapping[
    str,
    tuple[Callable[..., WorkOrder], Callable[[TrainingJobSpec, Process, Place], dict[str, Any]]],
] = {
    "partition": (PartitionOrder, _division),
    "seed": (SeedOrder, _seeding),
    "island": (IslandOrder, _island),
    "baseline": (BaselineOrder, _baseline),
    "router": (RouterOrder, _router),
    "merge": (MergeOrder, _merge),
    "evaluate": (EvaluateOrder, _evaluation),
}
