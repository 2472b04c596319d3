"""Whatever happens in whatever order: the job ends, and no step is ever trained twice at once."""

import asyncio

from builders import job
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from atoll_api import names
from atoll_api.names import StepName
from atoll_operator.fake import FakeRuntime
from atoll_operator.plan.model import (
    LIVE_STATES,
    Action,
    Child,
    ChildState,
    Complete,
    Failed,
    StartHub,
    StartStep,
    StepProgress,
    Stopped,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import ended_in
from atoll_operator.reconcile import reconcile_once

ENOUGH_ROUNDS = 60


class WatchedRuntime(FakeRuntime):
    """Refuses what no runtime should ever be asked for."""

    async def apply(self, action: Action) -> None:
        if isinstance(action, StartStep | StartHub):
            assert ended_in(self.status) is None, f"{action} after the end"
        if isinstance(action, StartStep):
            children = (await self.observe()).children
            child = children.get(action.step.name)
            assert child is None or child.state is ChildState.STOPPED, (
                f"a second {action.step.name}"
            )
        await super().apply(action)


class AnyJob(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.job = job(
            3,
            quorum=2,
            baseline=True,
            max_restarts=1,
            runPolicy={"activeDeadlineSeconds": 1000},
        )
        self.steps = {step.name: step for step in pipeline(self.job.spec)}
        self.runtime = WatchedRuntime(max_restarts=1)
        self.loop = asyncio.Runner()

    def children(self, *states: ChildState) -> list[tuple[StepName, Child]]:
        return [(n, c) for n, c in self.runtime._children.items() if c.state in states]

    @rule()
    def reconcile(self) -> None:
        decided = self.loop.run(reconcile_once(self.job, self.runtime))
        self.last = decided

    @rule()
    def plan_twice(self) -> None:
        world = self.loop.run(self.runtime.observe())
        assert plan(self.job.spec, world, 5.0) == plan(self.job.spec, world, 5.0)

    @rule()
    def reconcile_twice(self) -> None:
        self.reconcile()
        before = dict(self.runtime.starts)
        self.reconcile()
        assert dict(self.runtime.starts) == before
        first = self.runtime.status
        self.reconcile()
        assert self.runtime.status == first

    @rule()
    def hub_serves(self) -> None:
        hub = self.runtime._hub.child
        if hub is not None and hub.state is ChildState.STARTING:
            self.runtime.serve()

    @rule(pick=st.integers(0, 10))
    def child_begins(self, pick: int) -> None:
        waiting = self.children(ChildState.STARTING, ChildState.RESTARTING)
        if waiting:
            self.runtime.begin(waiting[pick % len(waiting)][0])

    @rule()
    def all_that_can_begin_begins(self) -> None:
        self.reconcile()
        self.hub_serves()
        self.reconcile()
        for name, _ in self.children(ChildState.STARTING, ChildState.RESTARTING):
            self.runtime.begin(name)

    @rule(pick=st.integers(0, 10), done=st.integers(0, 5))
    def child_reports(self, pick: int, done: int) -> None:
        running = self.children(ChildState.RUNNING)
        if running:
            self.runtime.report(running[pick % len(running)][0], StepProgress(done, 5, 0.5, 9.0))

    @rule(
        pick=st.integers(0, 10),
        binds=st.booleans(),
        exit_code=st.sampled_from([None, 0, 0, 0, 1, 65, 74, 83, 137]),
    )
    def child_binds_or_ends(self, pick: int, exit_code: int | None, *, binds: bool) -> None:
        running = self.children(ChildState.RUNNING)
        if not running:
            return
        name = running[pick % len(running)][0]
        if binds:
            self.bind(name)
        if exit_code is not None:
            self.runtime.end(name, exit_code, "last words")

    def bind(self, name: StepName) -> None:
        for ref in self.steps[name].refs:
            self.runtime.bind(ref)

    @rule(silent=st.booleans())
    def hub_goes_silent(self, *, silent: bool) -> None:
        self.runtime.hub_silent = silent

    @precondition(lambda self: self.runtime._hub.child is not None)
    @rule(rarely=st.integers(0, 9))
    def hub_is_lost(self, rarely: int) -> None:
        if rarely == 0:
            self.runtime.lose_hub(137)

    @rule(stop=st.booleans())
    def user_stops_or_resumes(self, *, stop: bool) -> None:
        self.runtime.stop_requested = stop

    @rule(seconds=st.sampled_from([0.5, 1.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run(self.runtime.wait(seconds))

    def teardown(self) -> None:
        """From here on the world is fair: what was started works, and the user wants the end."""
        self.runtime.hub_silent = False
        self.runtime.stop_requested = False
        for _ in range(ENOUGH_ROUNDS):
            self.reconcile()
            self.be_fair()
        self.loop.close()
        outcome = self.last.outcome
        assert isinstance(outcome, Complete | Failed)
        assert self.last.actions == ()
        assert not self.children(*LIVE_STATES)
        hub = self.runtime._hub.child
        assert hub is None or hub.state not in LIVE_STATES
        bound = self.runtime._bound
        if isinstance(outcome, Complete):
            assert names.REPORT_REF in bound
        if self.runtime.starts[names.EVALUATE]:
            assert sum(ref.startswith("experts/") for ref in bound) >= 2

    def be_fair(self) -> None:
        self.hub_serves()
        for name, _ in self.children(ChildState.STARTING, ChildState.RESTARTING):
            self.runtime.begin(name)
        for name, _ in self.children(ChildState.RUNNING):
            stopping = name in self.runtime._stopping
            if not stopping:
                self.bind(name)
            self.runtime.end(name, 83 if stopping else 0)


TestAnyJob = AnyJob.TestCase
TestAnyJob.settings = settings(max_examples=50, stateful_step_count=35, deadline=None)


def test_a_stopped_job_goes_on_from_where_it_was() -> None:
    machine = AnyJob()
    machine.reconcile()
    machine.runtime.serve()
    machine.reconcile()
    machine.runtime.begin(names.PARTITION)
    machine.runtime.stop_requested = True
    machine.reconcile()
    machine.runtime.end(names.PARTITION, 83)
    machine.reconcile()
    machine.reconcile()
    assert machine.last.outcome == Stopped()
    assert machine.last.actions == ()
    machine.teardown()
    assert isinstance(machine.last.outcome, Complete)
    assert machine.runtime.starts[names.PARTITION] == 2
