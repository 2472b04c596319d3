"""The operator's metrics: everything that is counted is counted here, in the domain's words.

Which metrics there are is `metrics.COMPONENT` and `metrics.OBJECTS`. Decides nothing, and asks
nobody: what is true now it is told when the numbers are asked for.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import GCCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from atoll_api.names import Ref, StepName
from atoll_operator import metrics
from atoll_operator.errors import HubUnavailableError
from atoll_operator.hearing import HubClient
from atoll_operator.identity import Identity
from atoll_operator.kubernetes.api import Request
from atoll_operator.kubernetes.lifecycle import (
    ENDS,
    Finished,
    Merged,
    Occurrence,
    Recovered,
    Restarted,
    Started,
)
from atoll_operator.kubernetes.object_series import Shown, counted_by_state, series
from atoll_operator.kubernetes.work_queue import Pass
from atoll_operator.plan.model import Binding, StepProgress
from atoll_telemetry.instruments import Instruments

SUCCESS, ERROR = metrics.PASS.values


@dataclass(frozen=True)
class Levels:
    """What is true at one moment.

    Attributes:
        leads: whether this process leads.
        waiting: jobs that wait for a pass.
        working: jobs that are in one.
        longest_seconds: how long the longest pass lasts by now.
        watch_ages: seconds since a watch said anything, by the plural of its kind.
        jobs: all that are there.
    """

    leads: bool = False
    waiting: int = 0
    working: int = 0
    longest_seconds: float = 0.0
    watch_ages: Mapping[str, float] = field(default_factory=dict)
    jobs: Sequence[Shown] = ()


class Measurements:
    """All numbers of one operator. Counts in one thread; the numbers may be read in another."""

    def __init__(
        self,
        version: str,
        *,
        with_objects: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of an operator of this version, with series of objects or without; `clock` in seconds."""
        self._numbers = Instruments(metrics.COMPONENT)
        self._objects = _Objects() if with_objects else None
        self._clock = clock
        self._began_at = clock()
        self._reading = threading.Lock()
        registry = self._numbers.registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        if self._objects is not None:
            registry.register(self._objects)
        self._numbers.set(metrics.BUILD_INFO, 1, version)
        for result, reason in ENDS:
            self._numbers.add(metrics.FINISHED, 0, result, reason)

    def requested(self, request: Request) -> None:
        """The API server was asked for something."""
        known = request.resource in metrics.RESOURCE.values
        resource = request.resource if known else "other"
        self._numbers.add(metrics.REQUESTS, 1, request.verb, resource, str(request.code))
        self._numbers.observe(metrics.REQUEST_SECONDS, request.seconds, request.verb)

    def passed(self, ended: Pass[Any]) -> None:
        """A pass over a job has ended."""
        self._numbers.add(metrics.RECONCILES, 1, SUCCESS if ended.error is None else ERROR)
        self._numbers.observe(metrics.RECONCILE_SECONDS, ended.worked_seconds)
        self._numbers.observe(metrics.QUEUE_WAIT, ended.waited_seconds)
        if ended.error is not None:
            self._numbers.add(metrics.RETRIES, 1)

    def polled(self, *, answered: bool) -> None:
        """A hub was asked how far its job is."""
        self._numbers.add(metrics.HUB_POLLS, 1, SUCCESS if answered else ERROR)

    def happened(self, occurrence: Occurrence) -> None:
        """Something has happened to a job of this leader."""
        match occurrence:
            case Finished(result=result, reason=reason, seconds=seconds):
                self._numbers.add(metrics.FINISHED, 1, result, reason)
                self._numbers.observe(metrics.DURATION_SECONDS, seconds, result)
            case Started(seconds=seconds):
                self._numbers.observe(metrics.START_SECONDS, seconds)
            case Restarted(reason=reason):
                self._numbers.add(metrics.RESTARTS, 1, reason)
            case Recovered(seconds=seconds):
                self._numbers.observe(metrics.RECOVERY_SECONDS, seconds)
            case Merged(seconds=seconds):
                self._numbers.observe(metrics.MERGE_SECONDS, seconds)

    def exposition(self, levels: Levels, accept: str = "") -> tuple[bytes, str]:
        """All of it as text, and the type of that text, for an `Accept` header.

        Of jobs only the leader tells: all replicas see them, and every sum would be doubled.
        """
        jobs = levels.jobs if levels.leads else ()
        with self._reading:
            self._set(levels, jobs)
            if self._objects is not None:
                self._objects.jobs = jobs
            return self._numbers.exposition(accept)

    def _set(self, levels: Levels, jobs: Sequence[Shown]) -> None:
        numbers = self._numbers
        numbers.set(metrics.LEADER, levels.leads)
        numbers.set(metrics.QUEUE_DEPTH, levels.waiting)
        numbers.set(metrics.QUEUE_WORKING, levels.working)
        numbers.set(metrics.QUEUE_LONGEST, levels.longest_seconds)
        unheard_seconds = self._clock() - self._began_at
        for resource, seconds in levels.watch_ages.items():
            age = seconds if math.isfinite(seconds) else unheard_seconds
            numbers.set(metrics.WATCH_AGE, age, resource)
        for state, count in counted_by_state(jobs).items():
            numbers.set(metrics.JOBS, count, state)


class CountedHubs:
    """Implements `hearing.HubClient` on another one, and says how each question went."""

    def __init__(self, client: HubClient, measurements: Measurements) -> None:
        self._client = client
        self._measurements = measurements

    async def snapshot(
        self, address: str, identity: Identity
    ) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
        """As the other one, and counted."""
        try:
            answer = await self._client.snapshot(address, identity)
        except HubUnavailableError:
            self._measurements.polled(answered=False)
            raise
        self._measurements.polled(answered=True)
        return answer

    async def drop(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """As the other one."""
        await self._client.drop(address, identity, refs)

    async def excuse(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """As the other one."""
        await self._client.excuse(address, identity, refs)


class _Objects(Collector):
    """What the registry asks for the series of objects."""

    def __init__(self) -> None:
        self.jobs: Sequence[Shown] = ()

    def collect(self) -> Iterator[Metric]:
        yield from series(self.jobs)
