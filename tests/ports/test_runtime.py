"""The one suite that every runtime passes: the fake in memory and real child processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
from builders import job
from stub_world import StubWorld

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_api.status import Progress, TrainingJobStatus
from atoll_operator.fake import FakeRuntime
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.papers import Papers
from atoll_operator.local.run import identity
from atoll_operator.local.runtime import Listeners, LocalRuntime
from atoll_operator.plan.events import Event
from atoll_operator.plan.model import (
    Child,
    ChildState,
    DropRefs,
    Observed,
    StartHub,
    StartStep,
    Step,
    StopHub,
    StopStep,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.runtime import Runtime

JOB = job(2, max_restarts=1)
PARTITION, ISLAND = pipeline(JOB.spec)[:2]


class World(Protocol):
    """A runtime, and how to make things happen in its world."""

    @property
    def runtime(self) -> Runtime: ...

    def will(self, step: Step, *attempts: str) -> None:
        """What the attempts of a step will do, in the words of the stub worker."""

    def silence(self, *, silent: bool) -> None: ...

    def happen(self) -> None:
        """Let a world without a life of its own go on."""

    def begun(self, step: Step) -> int:
        """How many attempts of a step have begun."""


class FakeWorld:
    def __init__(self) -> None:
        self.runtime: FakeRuntime = FakeRuntime(max_restarts=1)
        self._scripts: dict[StepName, list[str]] = {}
        self._begun: dict[StepName, int] = {}

    def will(self, step: Step, *attempts: str) -> None:
        self._scripts[step.name] = list(attempts)

    def silence(self, *, silent: bool) -> None:
        self.runtime.hub_silent = silent

    def begun(self, step: Step) -> int:
        return self._begun.get(step.name, 0)

    def happen(self) -> None:
        hub = self.runtime._hub.child
        if hub is not None and hub.state is ChildState.STARTING:
            self.runtime.serve()
        for name, child in list(self.runtime._children.items()):
            if child.state in (ChildState.STARTING, ChildState.RESTARTING):
                self.runtime.begin(name)
                self._begun[name] = self._begun.get(name, 0) + 1
                self._play(name)
            elif name in self.runtime._stopping and child.state is ChildState.RUNNING:
                self.runtime.end(name, 83)

    def _play(self, name: StepName) -> None:
        attempts = self._scripts.get(name, ["bind"])
        said = ""
        for word in attempts[min(self._begun[name], len(attempts)) - 1].split():
            verb, _, text = word.partition(":")
            match verb:
                case "bind":
                    for ref in next(it.refs for it in pipeline(JOB.spec) if it.name == name):
                        self.runtime.bind(ref)
                case "say":
                    said = text.replace("_", " ")
                case "sleep":
                    return
                case "exit":
                    self.runtime.end(name, int(text), said)
                    return
                case "killed":
                    self.runtime.end(name, 137, said)
                    return
        self.runtime.end(name, 0, said)


class LocalWorld:
    def __init__(self, path: Path) -> None:
        self._stubs = StubWorld(path / "world")
        folder = RunFolder.at(path / "run")
        folder.make()
        folder.adopt(JOB)
        self._lock = (path / "lock").open("w")
        listeners = Listeners(lambda _: None, lambda _: None)
        papers = Papers.issue(identity(JOB), pipeline(JOB.spec), folder.identity)
        self.runtime: LocalRuntime = LocalRuntime(
            JOB, papers, folder, self._lock.fileno(), self._stubs.options(), listeners
        )

    def will(self, step: Step, *attempts: str) -> None:
        self._stubs.script(step.name, *attempts)

    def silence(self, *, silent: bool) -> None:
        self._stubs.silent = silent

    def begun(self, step: Step) -> int:
        return len(self._stubs.attempts(step.name))

    def happen(self) -> None:
        pass

    async def close(self) -> None:
        await self.runtime.close()
        self._lock.close()


@pytest.fixture(params=["fake", "local"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    local = LocalWorld(tmp_path)
    yield local
    await local.close()


async def until(world: World, holds: Callable[[Observed], bool]) -> Observed:
    async def look() -> Observed:
        while True:
            observed = await world.runtime.observe()
            if holds(observed):
                return observed
            world.happen()
            await world.runtime.wait(0.02)

    return await asyncio.wait_for(look(), 60)


async def with_hub(world: World) -> None:
    await world.runtime.apply(StartHub())
    await until(world, lambda observed: observed.hub.address is not None)


async def until_state(world: World, step: Step, state: ChildState) -> Child:
    observed = await until(world, lambda o: _state(o, step) is state)
    return observed.children[step.name]


def _state(observed: Observed, step: Step) -> ChildState | None:
    child = observed.children.get(step.name)
    return child.state if child else None


async def test_at_first_there_is_nothing(world: World) -> None:
    observed = await world.runtime.observe()

    assert observed.hub.child is None
    assert observed.hub.address is None
    assert observed.children == {}
    assert observed.bindings == {}
    assert await world.runtime.read_status() is None


async def test_starting_the_hub_twice_gives_one(world: World) -> None:
    await world.runtime.apply(StartHub())
    await world.runtime.apply(StartHub())

    observed = await until(world, lambda o: o.hub.address is not None)
    assert observed.hub.child is not None
    assert observed.hub.child.state is ChildState.RUNNING


async def test_starting_a_step_twice_gives_one_child(world: World) -> None:
    world.will(PARTITION, "sleep")
    await with_hub(world)
    for _ in range(2):
        await world.runtime.apply(StartStep(PARTITION))
    await until_state(world, PARTITION, ChildState.RUNNING)
    await world.runtime.apply(StartStep(PARTITION))
    await until(world, lambda _: world.begun(PARTITION) > 0)

    assert world.begun(PARTITION) == 1


async def test_an_end_comes_with_what_was_bound_before_it(world: World) -> None:
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))

    observed = await until(world, lambda o: _state(o, PARTITION) is ChildState.SUCCEEDED)
    assert names.ASSIGNMENT_REF in observed.bindings
    assert observed.children[names.PARTITION].exit_code == 0


async def test_a_silent_hub_takes_nothing_back_and_delays_ends(world: World) -> None:
    world.will(ISLAND, "bind exit:65")
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))
    await until_state(world, PARTITION, ChildState.SUCCEEDED)
    world.silence(silent=True)
    await world.runtime.apply(StartStep(ISLAND))
    silent = await until(
        world, lambda o: world.begun(ISLAND) == 1 and _state(o, ISLAND) is ChildState.RUNNING
    )
    assert names.ASSIGNMENT_REF in silent.bindings
    assert _state(silent, PARTITION) is ChildState.SUCCEEDED

    world.silence(silent=False)
    heard = await until(world, lambda o: _state(o, ISLAND) is ChildState.FAILED)
    assert ISLAND.writes in heard.bindings


async def test_a_crash_is_retried_within_the_budget(world: World) -> None:
    world.will(PARTITION, "killed", "bind")
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))

    child = await until_state(world, PARTITION, ChildState.SUCCEEDED)
    assert child.restarts == 1
    assert world.begun(PARTITION) == 2


async def test_a_budget_ends_with_the_code_and_the_last_line(world: World) -> None:
    world.will(PARTITION, "say:first exit:1", "say:the_disk_burns killed")
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))

    child = await until_state(world, PARTITION, ChildState.FAILED)
    assert (child.restarts, child.exit_code, child.message) == (1, 137, "the disk burns")
    assert world.begun(PARTITION) == 2


@pytest.mark.parametrize("exit_code", [65, 73, 74])
async def test_a_final_error_is_not_retried(world: World, exit_code: int) -> None:
    world.will(PARTITION, f"say:no_images exit:{exit_code}", "bind")
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))

    child = await until_state(world, PARTITION, ChildState.FAILED)
    assert (child.restarts, child.exit_code, child.message) == (0, exit_code, "no images")


async def test_a_disruption_does_not_cost_budget(world: World) -> None:
    world.will(PARTITION, "exit:83", "exit:83", "exit:1", "exit:83", "bind")
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))

    child = await until_state(world, PARTITION, ChildState.SUCCEEDED)
    assert child.restarts == 4


async def test_a_stopped_child_can_be_started_again(world: World) -> None:
    world.will(ISLAND, "sleep", "bind")
    await with_hub(world)
    await world.runtime.apply(StartStep(ISLAND))
    await until(world, lambda _: world.begun(ISLAND) == 1)
    for _ in range(2):
        await world.runtime.apply(StopStep(ISLAND.name, "a test"))
    await until_state(world, ISLAND, ChildState.STOPPED)

    await world.runtime.apply(StartStep(ISLAND))
    await until_state(world, ISLAND, ChildState.SUCCEEDED)
    assert world.begun(ISLAND) == 2


async def test_stopping_what_is_not_there_is_no_error(world: World) -> None:
    await world.runtime.apply(StopStep(ISLAND.name, "a test"))
    await world.runtime.apply(StopHub())
    await world.runtime.apply(DropRefs((Ref("experts/0"),), "a test"))


async def test_dropped_refs_are_gone_and_may_be_dropped_again(world: World) -> None:
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))
    await until_state(world, PARTITION, ChildState.SUCCEEDED)
    for _ in range(2):
        await world.runtime.apply(DropRefs((names.ASSIGNMENT_REF,), "a test"))

    await until(world, lambda o: names.ASSIGNMENT_REF not in o.bindings)


async def test_the_hub_stops_and_starts_again_with_its_bindings(world: World) -> None:
    await with_hub(world)
    await world.runtime.apply(StartStep(PARTITION))
    await until_state(world, PARTITION, ChildState.SUCCEEDED)
    for _ in range(2):
        await world.runtime.apply(StopHub())
    await until(world, lambda o: _hub_state(o) is ChildState.STOPPED)

    await world.runtime.apply(StartHub())
    again = await until(world, lambda o: _hub_state(o) is ChildState.RUNNING)
    assert names.ASSIGNMENT_REF in again.bindings


def _hub_state(observed: Observed) -> ChildState | None:
    return observed.hub.child.state if observed.hub.child else None


async def test_the_status_is_what_was_written_last(world: World) -> None:
    for percent in (1, 2):
        told = TrainingJobStatus(state="Running", progress=Progress(percent=percent))
        await world.runtime.write_status(told)
        assert await world.runtime.read_status() == told
    await world.runtime.tell([Event("Normal", "StepRuns", "island-0: runs")])


async def test_waiting_ends_and_time_does_not_run_backwards(world: World) -> None:
    before = world.runtime.now()
    await _soon(world.runtime.wait(0.01))

    assert world.runtime.now() >= before


async def _soon(waiting: Awaitable[None]) -> None:
    await asyncio.wait_for(waiting, 30)
