"""A runtime in memory: children do what the test, or the demonstration, says.

Small and typed, and it passes the same suite as the real ones (tests/ports/test_runtime.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from atoll_api.exit_codes import ExitCode
from atoll_api.names import Ref, StepName
from atoll_api.status import TrainingJobStatus
from atoll_operator.plan.events import Event
from atoll_operator.plan.model import (
    LIVE_STATES,
    Action,
    Binding,
    Child,
    ChildState,
    DropRefs,
    ExcuseRefs,
    Hub,
    Observed,
    StartHub,
    StartStep,
    StepProgress,
    StopHub,
    StopStep,
)
from atoll_operator.plan.policies.restarts import restarts

ADDRESS = "127.0.0.1:7000"


class FakeRuntime:
    """Implements `runtime.Runtime`. The public attributes and the verbs below drive it."""

    starts_at_once = 2

    def __init__(self, max_restarts: int = 3, start_time: float = 0.0) -> None:
        self.max_restarts = max_restarts
        self.clock = start_time
        self.stop_requested = False
        self.hub_silent = False
        """The hub serves but does not answer: what was heard stands."""
        self.starts: Counter[StepName] = Counter()
        """How often a child was started for a step, without the runtime's own restarts."""
        self.events: list[str] = []
        self.status: TrainingJobStatus | None = None
        self._start_time = start_time
        self._hub = Hub()
        self._children: dict[StepName, Child] = {}
        self._counted: Counter[StepName] = Counter()
        self._stopping: set[StepName] = set()
        self._bound: dict[Ref, Binding] = {}
        self._reports: dict[StepName, StepProgress] = {}
        self._heard = Observed(start_time)

    # What the runtime does.

    async def observe(self) -> Observed:
        """The level; while the hub is silent no binding arrives, and so no end does."""
        children, before = dict(self._children), self._heard
        bindings, progress = dict(self._bound), dict(self._reports)
        if self.hub_silent:
            children = {n: _as_heard(before.children.get(n), c) for n, c in children.items()}
            bindings, progress = dict(before.bindings), dict(before.progress)
        self._heard = Observed(
            start_time=self._start_time,
            hub=self._hub,
            children=children,
            bindings=bindings,
            progress=progress,
            stop_requested=self.stop_requested,
        )
        return self._heard

    async def apply(self, action: Action) -> None:
        """Carry out one action; a child that is told to stop ends when it is told how."""
        match action:
            case StartHub():
                if self._hub.child is None or self._hub.child.state not in LIVE_STATES:
                    self._hub = Hub(Child(ChildState.STARTING))
            case StopHub():
                if self._hub.child is not None and self._hub.child.state in LIVE_STATES:
                    self._hub = Hub(Child(ChildState.STOPPED))
            case StartStep(step=step):
                self._start(step.name)
            case StopStep(name=name):
                self._stop(name)
            case ExcuseRefs(refs=refs):
                for ref in refs:
                    self.bind(ref)
            case DropRefs(refs=refs):
                self._bound = {ref: b for ref, b in self._bound.items() if ref not in refs}

    async def read_status(self) -> TrainingJobStatus | None:
        """The status written last."""
        return self.status

    async def write_status(self, status: TrainingJobStatus) -> bool:
        """Replace the status."""
        self.status = status
        return True

    async def tell(self, events: Sequence[Event]) -> None:
        """Remember the events."""
        self.events += [event.message for event in events]

    async def wait(self, timeout_seconds: float) -> None:
        """Let the time pass; nothing happens by itself."""
        self.clock += timeout_seconds

    def now(self) -> float:
        """Seconds since the epoch, as they are told."""
        return self.clock

    # What happens in its world.

    def serve(self) -> None:
        """The hub is ready and has been heard."""
        self._hub = Hub(Child(ChildState.RUNNING), ADDRESS)

    def lose_hub(self, exit_code: int, message: str = "") -> None:
        """The hub fails for good."""
        self._hub = replace(self._hub, child=Child(ChildState.FAILED, 0, exit_code, message))

    def begin(self, name: StepName) -> None:
        """A child's process comes up."""
        child = self._children[name]
        self._children[name] = replace(child, state=ChildState.RUNNING, since=self.clock)

    def report(self, name: StepName, progress: StepProgress) -> None:
        """A child tells how far it is."""
        self._reports[name] = progress

    def bind(self, ref: Ref) -> None:
        """A child publishes; the first binding stands."""
        self._bound.setdefault(ref, Binding(digest=f"blake3:{ref}", size_bytes=1))

    def end(self, name: StepName, exit_code: int, message: str = "") -> None:
        """A child's process ends, and is started again if its budget allows."""
        child = replace(self._children[name], exit_code=exit_code, message=message)
        if exit_code == ExitCode.OK:
            self._children[name] = replace(child, state=ChildState.SUCCEEDED)
        elif name in self._stopping:
            self._children[name] = replace(child, state=ChildState.STOPPED)
        else:
            self._children[name] = self._retried(name, child, exit_code)

    def _retried(self, name: StepName, child: Child, exit_code: int) -> Child:
        choice = restarts(exit_code, self._counted[name], self.max_restarts)
        if not choice.again:
            return replace(child, state=ChildState.FAILED)
        self._counted[name] += int(choice.counted)
        return replace(child, state=ChildState.RESTARTING, restarts=child.restarts + 1)

    def _start(self, name: StepName) -> None:
        known = self._children.get(name)
        if known is None or known.state not in LIVE_STATES:
            self._children[name] = Child(ChildState.STARTING)
            self._stopping.discard(name)
            self.starts[name] += 1

    def _stop(self, name: StepName) -> None:
        child = self._children.get(name)
        if child is None or child.state not in LIVE_STATES:
            return
        self._stopping.add(name)
        if child.state is not ChildState.RUNNING:  # no process that could save anything
            self._children[name] = replace(child, state=ChildState.STOPPED)


def _as_heard(before: Child | None, now: Child) -> Child:
    """An end counts only with bindings that were read after it."""
    if now.state not in (ChildState.SUCCEEDED, ChildState.FAILED) or before == now:
        return now
    return replace(now, state=ChildState.RUNNING, exit_code=None, message="")
