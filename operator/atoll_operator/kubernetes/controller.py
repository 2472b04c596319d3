"""One pass over one TrainingJob: accept it, reconcile it, say when to look again.

Reads TrainingJobs as they were seen last and children from mirrors; whatever is stale is caught by
names that are taken and by resource versions, and looked at again.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from atoll_api import names
from atoll_api.problems import InvalidJobError
from atoll_api.spec import TrainingJob, TrainingJobSpec
from atoll_operator.errors import ApiError, ConflictError, NotFoundError, StrangerError
from atoll_operator.hearing import Hearing, HubClient
from atoll_operator.kubernetes.accepting import Accepted, accept, blueprint_of, find_accepted
from atoll_operator.kubernetes.api import Api, Key, Propagation
from atoll_operator.kubernetes.authority import OperatorAuthority
from atoll_operator.kubernetes.lifecycle import Occurrence, Trail, begin, finished, follow
from atoll_operator.kubernetes.object_series import Shown
from atoll_operator.kubernetes.observing import hub_has_failed
from atoll_operator.kubernetes.resources import STATEFUL_SETS, TRAINING_JOBS
from atoll_operator.kubernetes.runtime import KubernetesRuntime, Memory, Subject, replace_status
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.training_jobs import JobView, current, problems_of, seconds_of
from atoll_operator.kubernetes.world import World
from atoll_operator.plan.level import level
from atoll_operator.plan.model import Ongoing, Plan
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.status import SHOWN_ISLANDS, blocked, ended_in, refused
from atoll_operator.plan.step_status import Tally, tally
from atoll_operator.reconcile import reconcile_once
from atoll_telemetry import subject, tracing

RESYNC_SECONDS: Final = 300.0
"""How long a job may be left alone when nothing says that it changed."""
HUB_KEPT_SECONDS: Final = 24 * 3600.0
"""How long artifacts can be read from the hub after the end, where no TTL is set."""
DIRTY_SECONDS: Final = 1.0
"""Until a look at what the last pass has begun, should no watch say so."""

_ISLANDS_A_SECOND: Final = 2000
"""Looked at for one job, at most: a tenth of a core, where a pass takes 50 us an island."""

QUESTIONS_A_SECOND: Final = 50
"""To hubs, at most, but for what has ended: a fifth of a core, where a question takes 4 ms."""

_log = logging.getLogger(__name__)


@dataclass
class _Known:
    """What is kept of a job between passes."""

    uid: str
    memory: Memory
    first_look: float
    """Of this leader; seconds since the epoch."""
    counted: JobView
    """The version that metrics have last been told of."""
    trail: Trail | None = None
    """The same of its pods."""
    tally: Tally | None = None
    """Of its islands, where the status has not room for all."""
    accepted: Accepted | None = None
    islands: int = 0
    """As of the last pass."""


@dataclass(frozen=True)
class Hands:
    """What a controller works with.

    Attributes:
        api: writes only while this process leads.
        world: what is seen of all children.
        hub_client: asks hubs.
        authority: signs for the operator.
        settings: how it is set up.
        happened: told what happens to jobs, for metrics.
    """

    api: Api
    world: World
    hub_client: HubClient
    authority: OperatorAuthority
    settings: OperatorSettings
    happened: Callable[[Occurrence], None] = lambda _: None


class Controller:
    """Knows every TrainingJob by its last version; `work` is the work of a queue of their keys."""

    def __init__(
        self,
        hands: Hands,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now` in seconds since the epoch; `clock` for what lies between two moments."""
        self._hands = hands
        self._now = now
        self._clock = clock
        self._views: dict[Key, JobView] = {}
        self._known: dict[Key, _Known] = {}
        self._ongoing: set[Key] = set()
        """Jobs whose hubs are asked."""

    def __len__(self) -> int:
        return len(self._views)

    def saw(self, view: JobView) -> None:
        """Take a version of a job, unless a newer one is known."""
        before = self._views.get(view.key)
        if before is not None and before.uid == view.uid and _newer(before, view):
            return
        self._views[view.key] = view

    def _wrote(self, view: JobView) -> None:
        """Take the version that a pass has written, unless the job is gone by now.

        Its deletion may be told before the answer to the write has come: nobody would tell it again.
        """
        known = self._views.get(view.key)
        if known is not None and known.uid == view.uid:
            self.saw(view)

    def gone(self, key: Key, uid: str) -> None:
        """A job is there no more; what it owned follows it."""
        view = self._views.get(key)
        if view is not None and view.uid == uid:
            del self._views[key]
            self._forget(key)

    def uids(self) -> dict[Key, str]:
        """Of all jobs that are known."""
        return {key: view.uid for key, view in self._views.items()}

    def shown(self) -> list[Shown]:
        """All jobs, for metrics."""
        known = self._known
        return [
            Shown(view, known[key].tally if key in known else None)
            for key, view in self._views.items()
        ]

    def rest(self, key: Key) -> float:
        """Seconds between two passes that changes cause: a pass looks at every island."""
        known = self._known.get(key)
        return known.islands / _ISLANDS_A_SECOND if known else 0.0

    async def work(self, key: Key) -> float | None:
        """One pass; seconds until the next, None when nothing is left to do.

        Raises:
            OperatorError: to be tried again, later each time.
        """
        with subject.of(job=key.name, namespace=key.namespace):
            return await self._work(key)

    async def _work(self, key: Key) -> float | None:
        view = self._views.get(key)
        if view is None or view.deleting:
            self._forget(key)
            return None
        known = self._known.get(key)
        if known is None or known.uid != view.uid:
            known = self._known[key] = _Known(view.uid, Memory(), self._now(), view)
        try:
            return await self._look(view, known)
        finally:
            self._count_end(known, key)

    async def _look(self, view: JobView, known: _Known) -> float | None:
        try:
            job = view.parse()
        except InvalidJobError as error:
            await self._refuse(view, error)
            return None
        known.islands = job.spec.islands.count
        if job.spec.managed_elsewhere:
            return None
        try:
            with tracing.trace(view.uid):
                return await self._reconcile(view, known, job)
        except (ApiError, StrangerError) as error:
            await self._say_blocked(view.key, error)
            raise

    def _count_end(self, known: _Known, key: Key) -> None:
        """Whoever has written it: an answer that was lost is found in the next pass."""
        view = self._views.get(key)
        if view is None or view.uid != known.uid:
            return
        before, known.counted = known.counted, view
        for it in finished(before.status, view, known.first_look):
            self._hands.happened(it)

    def _count_steps(self, known: _Known, runtime: KubernetesRuntime) -> None:
        """What has happened to its pods since the last pass; nothing at the first."""
        view = runtime.subject.view
        if ended_in(view.status) is not None:
            return
        if known.trail is None:
            known.trail = begin(view, runtime.scene)
            return
        known.trail, occurred = follow(known.trail, view, runtime.scene, self._now())
        for it in occurred:
            self._hands.happened(it)

    async def _reconcile(self, view: JobView, known: _Known, job: TrainingJob) -> float | None:
        await self._accept(view, known, job)
        runtime = self._runtime(view, known, job)
        self._count_steps(known, runtime)
        await runtime.follow_quorum()
        plan = await reconcile_once(job.model_copy(update={"spec": runtime.subject.spec}), runtime)
        asked = isinstance(plan.outcome, Ongoing)
        (self._ongoing.add if asked else self._ongoing.discard)(view.key)
        self._count_islands(known, runtime)
        view = self._views.get(view.key, view)  # as this pass has written it
        if ended_in(view.status) is not None and not plan.actions:
            if hub_has_failed(runtime.scene):
                await self._retire_hub(view)
            return await self._expire(view, runtime.subject.spec)
        return self._next_look(view, runtime.subject.spec, plan)

    def _count_islands(self, known: _Known, runtime: KubernetesRuntime) -> None:
        """Of many: the status lists only some of them. A hub that is silent changes nothing."""
        spec, observed = runtime.subject.spec, runtime.observed
        if spec.islands.count > SHOWN_ISLANDS and observed and observed.hub.address:
            known.tally = tally(level(pipeline(spec), observed), observed)

    async def _accept(self, view: JobView, known: _Known, job: TrainingJob) -> None:
        """Write the job down once; a job that is suspended from the beginning waits for that."""
        if known.accepted is not None:
            return
        hands = self._hands
        known.accepted = await find_accepted(hands.api, view)
        begins = not job.spec.suspend and ended_in(view.status) is None
        if known.accepted is None and begins:
            known.accepted = await accept(hands.api, job, view, hands.settings, hands.authority)

    def _runtime(self, view: JobView, known: _Known, job: TrainingJob) -> KubernetesRuntime:
        hands, accepted = self._hands, known.accepted
        subject = Subject(view, job.spec, None, view.created_at)
        if accepted is not None:
            resolved = accepted.resolved()
            spec = current(resolved.spec, job.spec)
            blueprint = blueprint_of(resolved, view, hands.settings)
            subject = Subject(view, spec, blueprint, accepted.at)
            if known.memory.hearing is None:
                identity = hands.authority.identity(view.uid, accepted.trusted, datetime.now(UTC))
                seconds = self._poll_seconds()
                known.memory.hearing = Hearing(hands.hub_client, identity, seconds, self._clock)
            known.memory.hearing.poll_seconds = self._poll_seconds()
        return KubernetesRuntime(
            api=hands.api,
            subject=subject,
            scene=hands.world.scene(view.key, view.uid),
            memory=known.memory,
            saw=self._wrote,
            reporter=hands.settings.pod,
            clock=self._clock,
        )

    async def _refuse(self, view: JobView, error: InvalidJobError) -> None:
        """Say why a job cannot be run; nothing of it is started."""
        problems = problems_of(error)
        status = refused(view.status, problems, self._now())
        if status != view.status:
            _log.warning("%s is refused: %s", view.key, problems)
            self._wrote(await replace_status(self._hands.api, view, status))

    async def _say_blocked(self, key: Key, error: ApiError | StrangerError) -> None:
        """Tell the user what the cluster will say again.

        The queue tries on, and a pass that succeeds says how things are.
        """
        view = self._views.get(key)
        if view is None or (isinstance(error, ApiError) and error.retryable):
            return
        status = blocked(view.status, str(error), self._now())
        if status != view.status:
            with suppress(ApiError):
                self._wrote(await replace_status(self._hands.api, view, status))

    async def _expire(self, view: JobView, spec: TrainingJobSpec) -> float | None:
        """Delete a job that has ended, when its time is over; what it owns goes with it."""
        seconds = spec.run_policy.ttl_seconds_after_finished
        ended = view.status.completion_time if view.status else None
        if ended is None:
            return None
        left = seconds_of(ended) + (HUB_KEPT_SECONDS if seconds is None else seconds) - self._now()
        if left > 0:
            return left
        if seconds is None:
            await self._retire_hub(view)
            return None
        with suppress(NotFoundError, ConflictError):
            await self._hands.api.delete(
                TRAINING_JOBS, view.key, propagation=Propagation.BACKGROUND, uid=view.uid
            )
        return None

    async def _retire_hub(self, view: JobView) -> None:
        """A hub that stayed so that its artifacts could be read has stayed long enough."""
        key = Key(view.key.namespace, names.hub_object(view.key.name))
        hub = self._hands.world.scene(view.key, view.uid).hub
        if hub is not None and hub.replicas:
            with suppress(NotFoundError):
                patch = {"spec": {"replicas": 0}}
                await self._hands.api.merge_patch(STATEFUL_SETS, key, patch)

    def _next_look(self, view: JobView, spec: TrainingJobSpec, plan: Plan) -> float:
        """Soon while hubs have to be asked; when the deadline is; now and then anyway."""
        looks = [RESYNC_SECONDS]
        if plan.actions:
            looks.append(DIRTY_SECONDS)
        if isinstance(plan.outcome, Ongoing):
            looks.append(self._poll_seconds())
            limit = spec.run_policy.active_deadline_seconds
            if limit is not None and view.status and view.status.start_time:
                looks.append(seconds_of(view.status.start_time) + limit - self._now())
        return max(min(looks), 0.1)

    def _poll_seconds(self) -> float:
        """Between two questions to one hub: longer where there are many."""
        return max(self._hands.settings.poll_seconds, len(self._ongoing) / QUESTIONS_A_SECOND)

    def _forget(self, key: Key) -> None:
        self._known.pop(key, None)
        self._ongoing.discard(key)


def _newer(one: JobView, other: JobView) -> bool:
    """Whether the first is the newer version; versions of one server are numbers that grow."""
    if one.resource_version.isdecimal() and other.resource_version.isdecimal():
        return int(one.resource_version) > int(other.resource_version)
    return False
