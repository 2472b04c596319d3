"""The TrainingJob as a user writes it."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from atoll_api import names
from atoll_api.base import FrozenModel, Items
from atoll_api.spec.artifacts import Artifacts
from atoll_api.spec.data import ISLAND_NUMBER, Data
from atoll_api.spec.evaluation import Baseline, Evaluation
from atoll_api.spec.exchange import Exchange
from atoll_api.spec.islands import Islands
from atoll_api.spec.network import Network
from atoll_api.spec.object_names import LABEL_PATTERN, Key, LabelValue
from atoll_api.spec.partition import Partition
from atoll_api.spec.policy import RunPolicy
from atoll_api.spec.strategy import Strategy
from atoll_api.spec.task import Task
from atoll_api.spec.template import PodTemplate, RoleTemplate
from atoll_api.spec.training import Training


class TrainingJobSpec(FrozenModel):
    """What to train, on what, by how many islands, and how they become one."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Everything random in the job is a function of it."""
    task: Task
    data: Data
    partition: Partition = Partition(type="FeatureClusters")
    islands: Islands
    training: Training = Training()
    strategy: Strategy
    baseline: Baseline = Baseline()
    evaluation: Evaluation = Evaluation()
    exchange: Exchange = Exchange()
    artifacts: Artifacts = Artifacts()
    template: PodTemplate | None = None
    """Of the pods of all roles."""
    roles: Annotated[
        Items[RoleTemplate],
        Field(
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["role"],
            }
        ),
    ] = Field(default=(), max_length=8)
    """Over `template`, for the pods of one role each; `islands.template` is over both."""
    network: Network = Network()
    suspend: bool = False
    """On a cluster: true starts nothing, and stops what runs with its work saved; false goes on.
    Artifacts stay where their storage does."""
    managed_by: str | None = Field(
        default=None, pattern=r"^[a-z0-9][-a-z0-9.]*/[-A-Za-z0-9_.]+$", max_length=63
    )
    """Who runs the job, if not this cluster's operator: `kueue.x-k8s.io/multikueue` sends it to
    another cluster. `atoll.dev/operator` is the same as leaving it out."""
    run_policy: RunPolicy = RunPolicy()

    @property
    def managed_elsewhere(self) -> bool:
        """Whether the operator has to leave the job alone."""
        return self.managed_by not in (None, names.MANAGED_BY)

    @property
    def shared_data(self) -> Data:
        """What every process but an island that brings its own data reads."""
        return self.evaluation.data or self.data

    def data_of(self, island: int) -> Data:
        """What one island trains on, or on its part of."""
        own = (it.data for it in self.islands.overrides if it.island == island and it.data)
        data = next(own, self.data)
        source = data.source.replace(ISLAND_NUMBER, str(island))
        return data.model_copy(update={"source": source})

    @model_validator(mode="before")
    @classmethod
    def _fit_the_task(cls, data: Any) -> Any:
        """Text is divided and routed in other ways than numbers: defaults follow the task."""
        if not isinstance(data, dict):
            return data
        task, strategy = _type_of(data, "task"), _type_of(data, "strategy")
        filled = dict(data)
        if strategy in ("IterativeMerge", "SingleMerge"):
            filled.setdefault("partition", {"type": "Random"})
        elif task == "Language":
            filled.setdefault("partition", {"type": "TextClusters"})
            filled["strategy"] = _routed_by_centroid(data.get("strategy"))
        return filled


def _type_of(data: dict[str, Any], field: str) -> object:
    value = data.get(field)
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


def _routed_by_centroid(strategy: Any) -> Any:
    if not isinstance(strategy, dict) or strategy.get("type") != "ExpertEnsemble":
        return strategy
    ensemble = strategy.get("expertEnsemble") or {}
    if not isinstance(ensemble, dict):
        return strategy
    return {**strategy, "expertEnsemble": {"router": {"type": "Centroid"}, **ensemble}}


class Metadata(FrozenModel):
    """The part of Kubernetes' object metadata that a user writes."""

    name: str = Field(pattern=names.JOB_NAME_PATTERN, max_length=names.JOB_NAME_MAX_LENGTH)
    namespace: str | None = Field(default=None, pattern=LABEL_PATTERN, max_length=63)
    labels: dict[Key, LabelValue] = Field(default_factory=dict)
    annotations: dict[Key, str] = Field(default_factory=dict)


class TrainingJob(FrozenModel):
    """One decentralized training job."""

    api_version: Literal["atoll.dev/v1alpha1"]
    kind: Literal["TrainingJob"]
    metadata: Metadata
    spec: TrainingJobSpec
