"""The TrainingJob as a user writes it."""

from typing import Literal

from pydantic import Field

from atoll_api import names
from atoll_api.base import FrozenModel
from atoll_api.spec.artifacts import Artifacts
from atoll_api.spec.data import Data
from atoll_api.spec.evaluation import Baseline, Evaluation
from atoll_api.spec.exchange import Exchange
from atoll_api.spec.islands import Islands
from atoll_api.spec.partition import Partition
from atoll_api.spec.policy import RunPolicy
from atoll_api.spec.strategy import Strategy
from atoll_api.spec.task import Task
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
    run_policy: RunPolicy = RunPolicy()


class Metadata(FrozenModel):
    """The part of Kubernetes' object metadata that a user writes."""

    name: str = Field(pattern=names.JOB_NAME_PATTERN, max_length=names.JOB_NAME_MAX_LENGTH)
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class TrainingJob(FrozenModel):
    """One decentralized training job."""

    api_version: Literal["atoll.dev/v1alpha1"]
    kind: Literal["TrainingJob"]
    metadata: Metadata
    spec: TrainingJobSpec
