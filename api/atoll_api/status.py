"""What a job says of itself; the same document from the laptop and from the cluster."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator

from atoll_api.base import FrozenModel, Items

JobState = Literal["Pending", "Suspended", "Running", "Merging", "Evaluating", "Complete", "Failed"]
"""For people; machines read the conditions."""

StepState = Literal["Waiting", "Pending", "Running", "Succeeded", "Failed"]
"""Waiting: its needs are not there. Pending: started, but not a word from it yet."""

ConditionType = Literal["Accepted", "Running", "Suspended", "Degraded", "Complete", "Failed"]


def _readable(text: str) -> str:
    try:
        datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return text


Timestamp = Annotated[str, AfterValidator(_readable)]
"""A moment that whoever draws it can read: a file of a run may have been damaged."""


class Condition(FrozenModel):
    """A metav1.Condition."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: Timestamp
    """RFC 3339, UTC, whole seconds."""


class Moment(FrozenModel):
    """When a step came into a state."""

    state: StepState
    since: Timestamp
    """RFC 3339, UTC, milliseconds; as it was seen, which may be some seconds late."""


class StepStatus(FrozenModel):
    """One step: an island, or one of partition, router, baseline, evaluate."""

    name: str
    island: int | None = None
    state: StepState
    restarts: int = 0
    exit_code: int | None = None
    """Of the attempt after which it was given up; only when it has failed."""
    step: int = 0
    """Optimizer steps (or other units of work) done."""
    steps: int = 0
    """Units of work in all; 0 until the step has said so."""
    loss: float | None = None
    samples_per_second: float | None = None
    message: str = ""
    """Why it failed or what it waits for, with the last log line where there is one."""
    history: Items[Moment] = ()
    """Since it was first started; at most 8, the first and the last ones."""


class Progress(FrozenModel):
    """How far the whole job is."""

    percent: int
    eta_seconds: int | None = None


class ArtifactStatus(FrozenModel):
    """One bound artifact."""

    name: str
    digest: str
    size_bytes: int
    parents: Items[str] = ()


class Metric(FrozenModel):
    """One headline number of the evaluation; the report has all of them."""

    name: str
    model: str
    value: str
    """A decimal string: Kubernetes advises against floats in an API."""


class EvaluationStatus(FrozenModel):
    """The headline numbers."""

    metrics: Items[Metric] = ()


class TrainingJobStatus(FrozenModel):
    """The status of a TrainingJob."""

    observed_generation: int | None = None
    """Of the object that this was said of; None on a laptop."""
    state: JobState = "Pending"
    conditions: Items[Condition] = ()
    islands: Items[StepStatus] = ()
    """At most 100, the worst first; `islandsReady` counts all."""
    islands_ready: str = ""
    """Finished islands of all, as `3/4`."""
    steps: Items[StepStatus] = ()
    """The steps that are not islands, in the order of the pipeline."""
    progress: Progress = Progress(percent=0)
    artifacts: Items[ArtifactStatus] = ()
    """At most 64, without checkpoints."""
    evaluation: EvaluationStatus = EvaluationStatus()
    hub: str | None = None
    start_time: Timestamp | None = None
    completion_time: Timestamp | None = None
