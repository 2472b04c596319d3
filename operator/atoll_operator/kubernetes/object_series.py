"""The state of all jobs as metrics, made when they are asked for: `kube_atoll_trainingjob_...`. Pure.

Nothing is kept between two questions, so the series of a job are gone with it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from atoll_api.status import JobState, StepState, TrainingJobStatus
from atoll_operator import metrics
from atoll_operator.kubernetes.training_jobs import JobView
from atoll_operator.plan.step_status import Tally
from atoll_telemetry.families import Family

_NOTHING = TrainingJobStatus()
_JOB_STATES: tuple[JobState, ...] = get_args(JobState)
_Rows = Iterator[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number."""


@dataclass(frozen=True)
class Shown:
    """A job as it was seen last."""

    view: JobView
    tally: Tally | None = None
    """Of all its islands, where its status has not room for all."""

    @property
    def status(self) -> TrainingJobStatus:
        """An empty one before the first."""
        return self.view.status or _NOTHING


def series(jobs: Iterable[Shown]) -> Iterator[Metric]:
    """Every family of `metrics.OBJECTS`, with no sample if there is no job."""
    rows = {
        metrics.JOB_INFO: _info,
        metrics.JOB_CREATED: _created,
        metrics.JOB_STATE: _state,
        metrics.JOB_CONDITION: _conditions,
        metrics.JOB_ISLANDS: _islands,
        metrics.JOB_PROGRESS: _progress,
        metrics.JOB_RESTARTS: _restarts,
    }
    made = {family: _empty(family) for family in rows}
    for job in jobs:  # one after another: each is read once, and held no longer
        for family, of_job in rows.items():
            for labels, value in of_job(job):
                made[family].add_metric(labels, value)
    yield from made.values()


def counted_by_state(jobs: Iterable[Shown]) -> Mapping[JobState, int]:
    """How many jobs are in each state; 0 where none is."""
    found = Counter(it.status.state for it in jobs)
    return {state: found[state] for state in _JOB_STATES}


def tally_of(status: TrainingJobStatus) -> Tally:
    """Of all islands, as far as a status tells: it lists the worst, and counts those that are done.

    An island that is not listed and not done is no worse off than the last that is listed: it is
    taken to be in the same state.
    """
    listed = Counter(it.state for it in status.islands)
    restarts = sum(it.restarts for it in status.islands)
    done, _, count = status.islands_ready.partition("/")
    if done.isdecimal() and count.isdecimal() and status.islands:
        succeeded = max(int(done), listed["Succeeded"])
        left = int(count) - succeeded - (listed.total() - listed["Succeeded"])
        listed["Succeeded"] = succeeded
        listed[status.islands[-1].state] += max(0, left)
    return Tally(dict(listed), restarts)


def _empty(family: Family) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.help, labels=[it.name for it in family.labels])


def _info(job: Shown) -> _Rows:
    yield (*job.view.key, job.view.uid, job.view.strategy), 1


def _created(job: Shown) -> _Rows:
    yield job.view.key, job.view.created_at


def _state(job: Shown) -> _Rows:
    for state in _JOB_STATES:
        yield (*job.view.key, state), job.status.state == state


def _conditions(job: Shown) -> _Rows:
    """Those that it has; of each, all its statuses."""
    for it in job.status.conditions:
        for status in metrics.STATUS.values:
            yield (*job.view.key, it.type, status), it.status.lower() == status


def _islands(job: Shown) -> _Rows:
    states: Mapping[StepState, int] = _tally(job).states
    for state in get_args(StepState):
        yield (*job.view.key, state), states.get(state, 0)


def _progress(job: Shown) -> _Rows:
    yield job.view.key, job.status.progress.percent / 100


def _restarts(job: Shown) -> _Rows:
    yield job.view.key, _tally(job).restarts


def _tally(job: Shown) -> Tally:
    return job.tally or tally_of(job.status)
