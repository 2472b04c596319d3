"""Runtime for a cluster: carries out the plan of one job with objects of the API server.

Lives for one pass. What is remembered between passes is the hub's last word (`Hearing`), and when
the status was written; all else is read anew, so that another leader goes on where this one was.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_api.spec import TrainingJobSpec
from atoll_api.status import StepStatus, TrainingJobStatus
from atoll_operator.errors import AlreadyExistsError, ApiError, ConflictError, NotFoundError
from atoll_operator.hearing import Hearing
from atoll_operator.kubernetes.accepting import require_owned
from atoll_operator.kubernetes.api import Api, Json, Key, Propagation, Resource
from atoll_operator.kubernetes.happenings import happening
from atoll_operator.kubernetes.manifests.blueprint import Blueprint
from atoll_operator.kubernetes.manifests.hub import hub_stateful_set
from atoll_operator.kubernetes.manifests.job_objects import surroundings
from atoll_operator.kubernetes.manifests.jobs import (
    islands_job,
    max_failed_islands,
    shares_one_job,
    step_job,
)
from atoll_operator.kubernetes.observing import Scene, children_of, hub_of, lost_artifacts
from atoll_operator.kubernetes.projection import MAKING, SeenJob
from atoll_operator.kubernetes.resources import (
    CLAIMS,
    EVENTS,
    JOBS,
    NETWORK_POLICIES,
    SERVICES,
    STATEFUL_SETS,
    TRAINING_JOBS,
)
from atoll_operator.kubernetes.training_jobs import JobView, seconds_of, view_of
from atoll_operator.plan.events import Event
from atoll_operator.plan.model import (
    Action,
    DropRefs,
    ExcuseRefs,
    Observed,
    StartHub,
    StartStep,
    Step,
    StopHub,
    StopStep,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.status import ended_in

STEPS_SECONDS: Final = 3.0
"""Between two writes of a status in which steps went on, and the job is where it was."""
PROGRESS_SECONDS: Final = 10.0
"""Between two writes of a status in which nothing but numbers moved."""
LAST_SECONDS: Final = 60.0
"""What a process has that has bound its ref, before it is ended."""
_ISLANDS_A_SECOND: Final = 50
"""A status of many islands is large: written every so many islands' worth of seconds."""
_AT_ONCE: Final = {"spec": {"activeDeadlineSeconds": 1}}
"""A Job that is over its time ends its pods, and keeps those that have ended, with their logs."""
_KINDS: Final = {it.kind: it for it in (CLAIMS, JOBS, NETWORK_POLICIES, SERVICES, STATEFUL_SETS)}


@dataclass
class Memory:
    """What is kept of a job between passes; losing it costs a question."""

    hearing: Hearing | None = None
    written_at: float = float("-inf")
    """When the status was written last, on the monotonic clock."""


@dataclass(frozen=True)
class Subject:
    """The job of a pass.

    Attributes:
        view: as the API server has it.
        spec: what counts now.
        blueprint: of its objects; None before it is accepted.
        accepted_at: seconds since the epoch; of its creation before that.
    """

    view: JobView
    spec: TrainingJobSpec
    blueprint: Blueprint | None
    accepted_at: float


@dataclass
class KubernetesRuntime:
    """Implements `runtime.Runtime` for one pass.

    Attributes:
        api: writes only while this process leads.
        subject: the job.
        scene: its children, as they were seen last.
        memory: kept between passes.
        saw: told of the TrainingJob as it is after a write.
        reporter: the name of this operator's pod, for events.
        clock: monotonic seconds.
        starts_at_once: requests of one job that wait for the API server together.
        observed: the level as this pass has found it; None before.
    """

    api: Api
    subject: Subject
    scene: Scene
    memory: Memory
    saw: Callable[[JobView], None]
    reporter: str
    clock: Callable[[], float] = time.monotonic
    starts_at_once: int = 16
    observed: Observed | None = None
    _began: set[str] = field(default_factory=set)
    """Names of Jobs that this pass has created or deleted: islands may share one."""

    async def observe(self) -> Observed:
        """The level now; asks the hub if it is time to."""
        subject, hearing = self.subject, self.memory.hearing
        spec, previous = subject.spec, subject.view.status
        children = children_of(self.scene, spec)
        hub = hub_of(self.scene, ended=ended_in(previous) is not None)
        if subject.blueprint is None or hearing is None:
            return Observed(subject.accepted_at, stop_requested=spec.suspend)
        address = subject.blueprint.resolved.hub
        if hub.address is None:
            hearing.lost(children)
        else:
            await hearing.listen(address, children)
        if hub.address is not None and lost_artifacts(hub, spec, previous, hearing.bindings) != hub:
            hearing.unhear()  # another operator may have heard more, and written it: ask once more
            await hearing.listen(address, children)
        if hearing.heard:
            hub = lost_artifacts(hub, spec, previous, hearing.bindings)
        measured = hearing.progress.get(names.EVALUATE)
        new = self.scene.is_empty and not (previous and previous.artifacts)
        self.observed = Observed(
            start_time=subject.accepted_at,
            hub=replace(
                hub,
                address=address if hub.address and hearing.heard else None,
                known_beforehand=new,
            ),
            children=hearing.as_heard(children),
            bindings=dict(hearing.bindings),
            progress=dict(hearing.progress),
            stop_requested=spec.suspend,
            metrics=measured.metrics if measured else (),
        )
        return self.observed

    async def apply(self, action: Action) -> None:
        """Carry out one action; what it comes to is seen in a later pass."""
        blueprint = self.subject.blueprint
        assert blueprint is not None, "nothing is planned for a job that is not accepted"
        match action:
            case StartHub():
                await self._start_hub(blueprint)
            case StopHub():
                await self._stop_hub(blueprint)
            case StartStep(step=step):
                await self._start_step(blueprint, step)
            case StopStep(name=name):
                await self._stop_step(blueprint, name)
            case DropRefs(refs=refs) if self.memory.hearing:
                await self.memory.hearing.drop(blueprint.resolved.hub, refs)
            case ExcuseRefs(refs=refs) if self.memory.hearing:
                await self.memory.hearing.excuse(blueprint.resolved.hub, refs)
            case DropRefs() | ExcuseRefs():
                pass  # the plan asks again

    async def read_status(self) -> TrainingJobStatus | None:
        """The status as it was seen last; which generation it speaks of is not the brain's."""
        status = self.subject.view.status
        return status and status.model_copy(update={"observed_generation": None})

    async def follow_quorum(self) -> None:
        """Let as many islands of one Job fail as may: the quorum may fall while they run."""
        name = names.islands_object(self.subject.view.key.name)
        found, wanted = self.scene.jobs.get(name), max_failed_islands(self.subject.spec)
        if found is None or found.deleting or found.complete or found.failed:
            return
        if found.max_failed_indexes not in (None, wanted):
            key = Key(found.namespace, name)
            with suppress(NotFoundError):
                patch = {"spec": {"maxFailedIndexes": wanted}}
                await self.api.merge_patch(JOBS, key, patch)

    async def write_status(self, status: TrainingJobStatus) -> bool:
        """Replace the status, unless it can wait: numbers, and steps on their way.

        Raises:
            ConflictError: the job has changed meanwhile: the next pass reads it anew.
        """
        view = self.subject.view
        rest = _rest_seconds(await self.read_status(), status, self.subject.spec.islands.count)
        if self.clock() - self.memory.written_at < rest:
            return False
        self.saw(await replace_status(self.api, view, status))
        self.memory.written_at = self.clock()
        return True

    async def tell(self, events: Sequence[Event]) -> None:
        """Keep them as Events. They are for people: one that is lost, is lost."""
        for event in events:
            with suppress(ApiError):
                await self.api.create(
                    EVENTS, happening(event, self.subject.view, self.reporter, self.now())
                )

    async def wait(self, timeout_seconds: float) -> None:
        """The queue wakes a job; this is for whoever runs passes by hand."""
        await asyncio.sleep(timeout_seconds)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def _start_hub(self, blueprint: Blueprint) -> None:
        """Make all that stands around the steps, or start a hub again that was stopped."""
        if self.memory.hearing is not None:
            self.memory.hearing.unhear()
        if self.scene.hub is not None:
            await self.api.apply(STATEFUL_SETS, hub_stateful_set(blueprint, 1))
            return
        for body in surroundings(blueprint, 1):
            await self._create(_KINDS[body["kind"]], body)

    async def _stop_hub(self, blueprint: Blueprint) -> None:
        """Of a job that is suspended, unless its artifacts are in the pod's own emptyDir.

        After its end a job's hub stays for a while: people read from it.
        """
        if self.subject.spec.suspend and keeps_artifacts(self.subject.spec):
            await self.api.apply(STATEFUL_SETS, hub_stateful_set(blueprint, 0))

    async def _start_step(self, blueprint: Blueprint, step: Step) -> None:
        name = self._job_name(step.name)
        if name in self._began:
            return
        self._began.add(name)
        if self.memory.hearing is not None:
            self.memory.hearing.started(step.name)
        shared = name == names.islands_object(blueprint.job)
        body = islands_job(blueprint) if shared else step_job(blueprint, step)
        await self._create(JOBS, body)

    async def _stop_step(self, blueprint: Blueprint, step: StepName) -> None:
        """End a Job, or only its pods that run where it has others that ended.

        With a Job go the logs of all its islands, and those that failed are what one looks for.
        """
        name = self._job_name(step)
        found = self.scene.jobs.get(name)
        if found is None or found.deleting or name in self._began or self._ends_by_itself(step):
            return
        self._began.add(name)
        key = Key(blueprint.resolved.namespace, name)
        for_good = not (self.subject.spec.suspend or found.suspended)
        with suppress(NotFoundError, ConflictError):
            if found.count is None or not for_good:
                await self._delete(key, found)
            elif not found.failed:
                await self.api.merge_patch(JOBS, key, _AT_ONCE)

    async def _delete(self, key: Key, job: SeenJob) -> None:
        """Foreground: the Job stays until its pods have saved their work, and then is gone."""
        await self.api.delete(JOBS, key, propagation=Propagation.FOREGROUND, uid=job.uid)

    def _ends_by_itself(self, name: StepName) -> bool:
        """Whether a step is done, and its process about to end: with the Job its log would go."""
        hearing, status = self.memory.hearing, self.subject.view.status
        writes = self._writes.get(name, ())
        if hearing is None or not writes or any(ref not in hearing.bindings for ref in writes):
            return False
        ended = status.completion_time if status else None
        return ended is None or self.now() - seconds_of(ended) < LAST_SECONDS

    @cached_property
    def _writes(self) -> Mapping[StepName, tuple[Ref, ...]]:
        """What each step binds; once a pass, for a thousand islands may be told to stop in one."""
        return {step.name: step.refs for step in pipeline(self.subject.spec)}

    def _job_name(self, step: StepName) -> str:
        job = self.subject.view.key.name
        island = step.startswith(f"{names.ISLAND}-")
        if island and shares_one_job(self.subject.spec):
            return names.islands_object(job)
        return names.step_object(job, step)

    async def _create(self, resource: Resource, body: Json) -> None:
        """Make an object once: that it is there already is as good, if it is this job's."""
        try:
            await self.api.create(resource, body)
        except AlreadyExistsError:
            key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
            require_owned(await self.api.get(resource, key), self.subject.view)


async def replace_status(api: Api, view: JobView, status: TrainingJobStatus) -> JobView:
    """Write the status of this version of a job; the job as it is then.

    Raises:
        ConflictError: the job has changed meanwhile.
    """
    said = status.model_copy(update={"observed_generation": view.generation})
    body = {**view.document(), "status": said.to_document()}
    body["metadata"]["resourceVersion"] = view.resource_version
    return view_of(await api.replace(TRAINING_JOBS, body, subresource="status"))


def keeps_artifacts(spec: TrainingJobSpec) -> bool:
    """Whether artifacts outlive the hub's pod."""
    return spec.artifacts.storage.type != "EmptyDir"


def _rest_seconds(
    before: TrainingJobStatus | None, status: TrainingJobStatus, islands: int
) -> float:
    """How long after the last write this one may wait: each is a request, and wakes all who watch."""
    if before is None or _turns(before) != _turns(status):
        return 0.0
    slow = islands / _ISLANDS_A_SECOND
    news = _without_numbers(status) != _without_numbers(before)
    return max(STEPS_SECONDS if news else PROGRESS_SECONDS, slow)


def _turns(status: TrainingJobStatus) -> tuple[object, ...]:
    """What people and programs wait for; a condition's message counts what steps tell too."""
    return (status.state, [(it.type, it.status, it.reason) for it in status.conditions])


def _without_numbers(status: TrainingJobStatus) -> TrainingJobStatus:
    """What of a status is news."""
    still = {"progress": None, "observed_generation": None, "conditions": _turns(status)}
    lists = {
        "islands": tuple(map(_still, sorted(status.islands, key=lambda it: it.island or 0))),
        "steps": tuple(map(_still, status.steps)),
    }
    return status.model_copy(update={**still, **lists})


def _still(step: StepStatus) -> StepStatus:
    step = step.model_copy(update={"history": ()})  # grows with what is news, and with nothing else
    if step.state == "Waiting" or (step.state == "Pending" and step.message in ("", MAKING)):
        return step.model_copy(update={"state": "Waiting", "message": ""})
    if step.state != "Running":
        return step
    moved = {"step": 0, "steps": 0, "loss": None, "samples_per_second": None, "message": ""}
    return step.model_copy(update=moved)
