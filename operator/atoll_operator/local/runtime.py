"""Runtime for one machine: carries out the plan with child processes over loopback."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_api.ordering import Place, work_order
from atoll_api.spec import TrainingJob
from atoll_api.status import Metric, TrainingJobStatus
from atoll_operator.hearing import Hearing
from atoll_operator.local.child import ChildProcess, Recipe
from atoll_operator.local.environment import hub_environment, worker_environment
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.hub import HubProcess
from atoll_operator.local.nursery import Nursery, possible
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.papers import Papers
from atoll_operator.local.places import Places
from atoll_operator.local.scraping import Scraping
from atoll_operator.plan.events import Event
from atoll_operator.plan.model import (
    Action,
    Child,
    DropRefs,
    ExcuseRefs,
    Hub,
    Observed,
    StartHub,
    StartStep,
    Step,
    StopHub,
    StopStep,
)
from atoll_telemetry import tracing


@dataclass(frozen=True)
class Listeners:
    """Who is told what changed."""

    on_status: Callable[[TrainingJobStatus], None]
    on_event: Callable[[str], None]


class LocalRuntime:
    """Implements `runtime.Runtime`; needs a running event loop and the folder's lock."""

    starts_at_once = 1
    """A process is started in a moment, and the places are given in order."""

    def __init__(
        self,
        job: TrainingJob,
        papers: Papers,
        folder: RunFolder,
        lock_fd: int,
        options: LocalOptions,
        listeners: Listeners,
    ) -> None:
        self._job = job
        self._papers = papers
        self._folder = folder
        self._lock_fd = lock_fd
        self._options = options
        self._listeners = listeners
        self._start_time = options.clock()
        self._changed = asyncio.Event()
        self._places = Places(options.places(job.spec))
        self._nursery = (
            Nursery() if possible(options.worker_command) and not options.debug else None
        )
        self._warming: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._warming.set_result(None)
        self._scraping = Scraping(folder, job.metadata.name, options.metrics)
        self._scraping.prepare()
        self._hub = HubProcess(job.spec, papers, folder, options, self._scraping, self._changed)
        self._hub_child: ChildProcess | None = None
        self._children: dict[StepName, ChildProcess] = {}
        self._hearing = Hearing(
            options.hub_client,
            papers.operator,
            options.timing.poll_seconds,
            asyncio.get_running_loop().time,
        )
        self._status = folder.read_status()
        self._metrics: tuple[Metric, ...] = ()
        self._stop_requested = False
        self._starts = 0
        self._to_forget: list[Ref] = []

    async def observe(self) -> Observed:
        """The level now; asks the hub, though not more often than `Timing.poll_seconds`."""
        children = {name: process.child for name, process in self._children.items()}
        await self._listen(children)
        hearing = self._hearing
        if names.REPORT_REF in hearing.bindings and not self._metrics:
            self._metrics = self._folder.read_metrics()
        return Observed(
            start_time=self._start_time,
            hub=Hub(
                self._hub_child.child if self._hub_child else None,
                self._hub.address if hearing.heard else None,
            ),
            children=hearing.as_heard(children),
            bindings=dict(hearing.bindings),
            progress=dict(hearing.progress),
            stop_requested=self._stop_requested,
            metrics=self._metrics,
        )

    async def apply(self, action: Action) -> None:
        """Carry out one action; starts and stops return at once, the level follows."""
        match action:
            case StartHub():
                self._start_hub()
            case StopHub():
                if self._hub_child is not None:
                    self._hub_child.request_stop()
                self._hearing.unhear()
            case StartStep(step=step):
                self._start_step(step)
            case StopStep(name=name):
                self._stop_step(name)
            case DropRefs(refs=refs) if self._hub.address is not None:
                await self._hearing.drop(self._hub.address, refs)
            case ExcuseRefs(refs=refs) if self._hub.address is not None:
                await self._hearing.excuse(self._hub.address, refs)
            case DropRefs() | ExcuseRefs():
                pass  # the plan asks again

    async def read_status(self) -> TrainingJobStatus | None:
        """The status written last, by this run or the one before."""
        return self._status

    async def write_status(self, status: TrainingJobStatus) -> bool:
        """Replace status.json, then tell the listener."""
        self._folder.write_status(status)
        self._status = status
        self._listeners.on_status(status)
        return True

    async def tell(self, events: Sequence[Event]) -> None:
        """Tell the listener, line by line."""
        for event in events:
            self._listeners.on_event(event.message)

    async def wait(self, timeout_seconds: float) -> None:
        """Return when a child, the hub or the user did something, or after the timeout."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_seconds)
        except TimeoutError:
            return
        self._changed.clear()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._options.clock()

    def forget(self, ref: Ref) -> None:
        """Unbind a ref before anything is observed: its step is done anew."""
        self._to_forget.append(ref)

    def request_stop(self) -> None:
        """The user wants to stop: the next pass says so to the plan."""
        self._stop_requested = True
        self._changed.set()

    async def close(self) -> None:
        """Leave no child behind, whatever happened: the steps first, the hub last."""
        for child in self._children.values():
            child.request_stop()
        await asyncio.gather(*(c.ended() for c in self._children.values()), return_exceptions=True)
        if self._hub_child is not None:
            self._hub_child.request_stop()
            await asyncio.gather(self._hub_child.ended(), return_exceptions=True)
        if self._nursery is not None:
            await asyncio.gather(self._warming, return_exceptions=True)
            await self._nursery.close()

    async def _listen(self, children: dict[StepName, Child]) -> None:
        address, hub = self._hub.address, self._hub_child
        if hub is not None and not hub.live:
            self._hearing.lost(children)
        if address is None or hub is None or not hub.live:
            return
        if self._to_forget and await self._hearing.drop(address, self._to_forget):
            self._to_forget.clear()
        if not self._to_forget:
            await self._hearing.listen(address, children)

    def _start_hub(self) -> None:
        if self._hub_child is None or not self._hub_child.live:
            recipe = self._hub.recipe(
                hub_environment({**os.environ, **tracing.environment()}), self._lock_fd
            )
            self._hub_child = self._supervise(recipe, Places(1))
            if self._nursery is not None:  # loads while the hub starts
                self._warming = asyncio.ensure_future(self._nursery.warm(self._environment()))

    def _start_step(self, step: Step) -> None:
        running = self._children.get(step.name)
        if running is not None and running.live:
            return
        assert self._hub.address is not None, "the plan starts no step before the hub serves"
        identity = self._papers.files(step.role, step.island)
        place = Place(self._hub.address, str(self._folder.path), identity)
        process = step.process(self._papers.job.uid)
        order = work_order(self._papers.job, self._job.spec, process, place)
        self._folder.write_order(step.name, order)
        self._hearing.started(step.name)
        self._children[step.name] = self._supervise(self._recipe(step.name), self._places)

    def _environment(self) -> dict[str, str]:
        """Of whoever works on a step."""
        custom = self._job.spec.task.type == "Custom"
        folders = (self._options.base_folder, Path.cwd()) if custom else ()
        inherited = {**os.environ, **tracing.environment()}
        return worker_environment(inherited, self._job.spec.islands.threads, folders)

    def _recipe(self, name: StepName) -> Recipe:
        return Recipe(
            name=name,
            command=self._options.worker_command,
            arguments=self._options.arguments(
                self._folder.order(name), self._folder.metrics_file(name)
            ),
            environment=self._environment(),
            log=self._folder.log(name),
            max_restarts=self._job.spec.islands.max_restarts,
            inherited_fd=self._lock_fd,
            prepare=partial(self._scraping.begin, name),
            attend=partial(self._scraping.attend, name),
            nursery=self._nursery,
        )

    def _supervise(self, recipe: Recipe, places: Places) -> ChildProcess:
        self._starts += 1
        self._changed.set()
        return ChildProcess(recipe, places, self._starts, self._options, self._changed)

    def _stop_step(self, name: StepName) -> None:
        child = self._children.get(name)
        if child is not None:
            self._hearing.told_to_stop(name)
            child.request_stop()
