"""The one document a worker process starts from.

A work order holds all that a process needs and nothing that it does not: no process reads the
job, the environment or another's order. `parse` refuses an order of another schema version
before it looks at anything else.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from atoll_api import names
from atoll_api.base import FrozenModel
from atoll_api.hub_order import (
    NOBODY,
    SCHEMA_VERSION,
    HubOrder,
    IdentityFiles,
    JobIdentity,
    Order,
    WorkOrderError,
    read,
    refusal,
)
from atoll_api.names import Role
from atoll_api.spec.data import Data
from atoll_api.spec.evaluation import Evaluation
from atoll_api.spec.exchange import Encoding
from atoll_api.spec.merging import FinalMerge, IterativeMerge, SingleMerge
from atoll_api.spec.partition import Partition
from atoll_api.spec.strategy import Combine, LearnedRouter, Router
from atoll_api.spec.task import Task
from atoll_api.spec.training import Training

__all__ = [
    "NOBODY",
    "OPTIMIZER_IMPLEMENTATION",
    "SCHEMA_VERSION",
    "BaselineOrder",
    "EvaluateOrder",
    "HubOrder",
    "IdentityFiles",
    "IslandOrder",
    "JobIdentity",
    "MergeOrder",
    "MergingOrder",
    "PartitionOrder",
    "Role",
    "RouterOrder",
    "SeedOrder",
    "TrainingOrder",
    "WorkOrder",
    "WorkOrderError",
    "WorkerOrder",
    "dump",
    "parse",
    "process_of",
    "refs_written",
]

STARTUP_SECONDS: Final = 180
"""Importing torch alone took 25 s on a loaded machine."""
OPTIMIZER_IMPLEMENTATION: Literal["fused"] = "fused"
"""Fused, foreach and single-tensor AdamW each repeat themselves bit for bit, but differ from
one another: the implementation is a part of the result."""


class WorkerOrder(Order):
    """What every order of a process that uses the hub says."""

    hub: str
    """HOST:PORT."""
    startup_seconds: int = STARTUP_SECONDS
    """How long to wait for the hub."""
    seed: int
    threads: int = Field(default=1, ge=1)


class PartitionOrder(WorkerOrder):
    """Divide the data; writes `assignment` and `assignment/<i>`, and `init` where it is asked for.

    Of text that is divided by TextClusters, `clusters` too.
    """

    role: Literal["partition"] = "partition"
    data: Data
    context: int | None = None
    """Tokens of one sample of text; None: the data are not text."""
    partition: Partition
    count: int
    batch_size: int
    """A part smaller than one batch is refused."""
    initialization: Task | None = None
    """Publish the initialization of this task as `init`; None: nobody takes a delta against it."""


class TrainingOrder(WorkerOrder):
    """What an island and the baseline have in common."""

    task: Task
    data: Data
    training: Training
    optimizer_implementation: Literal["fused", "foreach", "single"] = OPTIMIZER_IMPLEMENTATION
    encoding: Encoding = "Raw"
    """How the trained model is published; checkpoints are always raw."""
    seeded: bool = False
    """Go on from `seed`, which is then also what a Delta is taken against instead of `init`."""


class SeedOrder(TrainingOrder):
    """Train one model on all data, from which all others go on; reads `assignment`.

    Batch: count x batchSizePerIsland, as the baseline has. Writes `seed`.
    """

    role: Literal["seed"] = "seed"
    count: int
    steps: int


class MergingOrder(FrozenModel):
    """The part of an order that is about merging; one of the two strategies is set."""

    count: int
    iterative: IterativeMerge | None = None
    single: SingleMerge | None = None

    @property
    def settings(self) -> IterativeMerge | SingleMerge:
        """Whichever is set."""
        found = self.iterative or self.single
        assert found is not None, "an order to merge names its strategy"
        return found

    @property
    def common_basis(self) -> bool:
        """Whether all islands align themselves to one of them, at the first merge."""
        return self.iterative is not None and self.iterative.alignment.when == "FirstMerge"

    @property
    def final(self) -> FinalMerge:
        """How the last weights become one model."""
        return self.settings.final_merge


class IslandOrder(TrainingOrder):
    """Train one expert on its own part; reads `assignment/<i>` and `seed` or, for a Delta, `init`.

    Writes `experts/<i>`. With `merging`: exchanges weights while it trains, reads `init` where it
    is shared, and writes `islands/<i>/final`.
    """

    role: Literal["island"] = "island"
    island: int = Field(ge=0)
    brings_data: bool = False
    """Whether `data` are this island's own, which nobody divided."""
    merging: MergingOrder | None = None
    listen: str = "127.0.0.1"
    """Where it serves its neighbours."""
    listen_port: int = Field(default=0, ge=0, le=65535)
    """0 lets the system choose."""
    advertised: str = ""
    """What they dial, if that is another host or port."""


class BaselineOrder(TrainingOrder):
    """Train one model on all data with the FLOPs of all experts and the router.

    Batch: count x batchSizePerIsland. Steps: ceil(steps x (1 + routerFlops / expertsFlops)).
    Reads `assignment` and `seed` or, for a Delta, `init`; writes `baseline`.
    """

    role: Literal["baseline"] = "baseline"
    count: int
    router: LearnedRouter | None = None
    """None where no router is trained."""


class RouterOrder(TrainingOrder):
    """Train p(island | x_t, t); reads `assignment`, writes `router`.

    `training` gives the checkpoint interval and the EMA; steps, batch and learning rate come
    from `router`.
    """

    role: Literal["router"] = "router"
    count: int
    router: LearnedRouter


class MergeOrder(WorkerOrder):
    """Make one model of the islands' last weights, and measure on the way how well they merge.

    Reads `assignment`, `islands/*/rounds/*` of some rounds and `islands/*/final`; writes
    `mergeability/*`, `mean` and `merged`.
    """

    role: Literal["merge"] = "merge"
    task: Task
    data: Data
    merging: MergingOrder
    steps: int
    quorum: int
    encoding: Encoding = "Raw"


class EvaluateOrder(WorkerOrder):
    """Score what is there; reads `experts/*`, what routes, and `baseline`; writes `report`.

    With `merging`: reads `merged` and `islands/*/final` in place of experts and what routes.
    """

    role: Literal["evaluate"] = "evaluate"
    task: Task
    data: Data
    count: int
    quorum: int
    router: Router = Router(type="Learned")
    combine: Combine
    """Without effect where there is one model."""
    merging: MergingOrder | None = None
    evaluation: Evaluation
    baseline: bool
    report_folder: str
    """Where `report.json` and `report.html` are written."""
    publish_page: bool = False
    """Whether these files are published as well, as `page`: nobody can open that folder."""


WorkOrder = Annotated[
    HubOrder
    | PartitionOrder
    | SeedOrder
    | IslandOrder
    | BaselineOrder
    | RouterOrder
    | MergeOrder
    | EvaluateOrder,
    Field(discriminator="role"),
]
STEP_ROLES: Final = frozenset(get_args(Role)) - {"hub"}
"""All that do a step and end; the hub stays."""

_ADAPTER: TypeAdapter[WorkOrder] = TypeAdapter(WorkOrder)


def parse(text: str | bytes) -> WorkOrder:
    """Read a work order from JSON.

    Raises:
        WorkOrderError: for another schema version, or a document that is not a work order.
    """
    read(text)
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise refusal(error) from error


def dump(order: WorkOrder) -> str:
    """Write a work order as JSON, byte for byte the same for equal orders."""
    return json.dumps(order.to_document(), indent=2, sort_keys=True) + "\n"


def process_of(order: Order) -> names.Process:
    """Who the process of this order is, and whose certificate it has to show."""
    index = order.island if isinstance(order, IslandOrder) else 0
    return names.Process(order.job.uid, order.role, index)


_REF_OF: Mapping[Role, names.Ref] = {
    "seed": names.SEED_REF,
    "baseline": names.BASELINE_REF,
    "router": names.ROUTER_REF,
    "merge": names.MERGED_REF,
    "evaluate": names.REPORT_REF,
}


def refs_written(order: WorkOrder) -> tuple[names.Ref, ...]:
    """The refs that the step of this order binds; the one that it binds last is the first."""
    if isinstance(order, PartitionOrder):
        base, centres = order.initialization is not None, order.partition.type == "TextClusters"
        return written_by_partition(order.count, base=base, centres=centres)
    if isinstance(order, IslandOrder):
        return _written_by_island(order)
    return (_REF_OF[order.role],) if order.role in _REF_OF else ()


def _written_by_island(order: IslandOrder) -> tuple[names.Ref, ...]:
    if order.merging is None:
        return (names.expert_ref(order.island),)
    return written_by_member(order.island, order.merging.final)


def written_by_partition(count: int, *, base: bool, centres: bool) -> tuple[names.Ref, ...]:
    """See `refs_written`; `base` are the weights that all begin with, `centres` those of text."""
    return (
        names.ASSIGNMENT_REF,
        *(names.island_assignment_ref(island) for island in range(count)),
        *((names.INIT_REF,) if base else ()),
        *((names.CLUSTERS_REF,) if centres else ()),
    )


def written_by_member(island: int, merge: FinalMerge) -> tuple[names.Ref, ...]:
    """See `refs_written`; of an island that merges: its last weights, or what it measures after."""
    final = names.final_ref(island)
    return (
        (names.statistics_ref(island), final) if merge.norm_statistics == "Reestimate" else (final,)
    )
