"""What the brain looks at and what it says: frozen data.

spec --pipeline--> Step*            what there is to do, and after what
runtime --> Observed                the level of the world, never its events
(spec, Observed, now) --> Plan      actions, and whether the job has ended
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from atoll_api.names import Process, Ref, StepName
from atoll_api.reasons import FailedReason
from atoll_api.status import Metric
from atoll_api.work_order import Role


@dataclass(frozen=True)
class Step:
    """One process to run until its refs are bound.

    `writes` is the one that it binds last, `parts` are all others: somebody may have removed one of
    them since, as a message has advised who found it altered.
    `needs` names the steps that must have succeeded. `needs_islands` says that the step starts
    once every island has ended and at least that many have succeeded.
    """

    name: StepName
    role: Role
    writes: Ref
    parts: tuple[Ref, ...] = ()
    island: int | None = None
    needs: tuple[StepName, ...] = ()
    needs_islands: int = 0

    @property
    def refs(self) -> tuple[Ref, ...]:
        """All that it binds."""
        return (self.writes, *self.parts)

    def process(self, job_uid: str) -> Process:
        """Who runs it."""
        return Process(job_uid, self.role, self.island or 0)


class ChildState(Enum):
    """A child as its runtime reports it. The runtime retries; FAILED is after the last retry.

    SUCCEEDED and FAILED are reported only with bindings that were read after the child ended
    (or when no hub is left to ask): what a child bound with its last breath counts.
    """

    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    """Ended because the plan, or the user, stopped it; `StartStep` may start it again."""


@dataclass(frozen=True)
class Child:
    """The one child of a step. A step without an entry in `Observed.children` has none."""

    state: ChildState
    restarts: int = 0
    exit_code: int | None = None
    """Of the last attempt that ended."""
    message: str = ""
    """The last log line of that attempt, or what the child waits for."""
    since: float | None = None
    """When the present attempt began, in seconds since the epoch."""
    held: bool = False
    """Whether it waits for something outside of the job: a queue, a node, an image, a claim."""


LIVE_STATES = frozenset({ChildState.STARTING, ChildState.RUNNING, ChildState.RESTARTING})
"""States of a child that has not ended."""


@dataclass(frozen=True)
class StepProgress:
    """The last report of a step."""

    done: int
    total: int
    loss: float | None = None
    samples_per_second: float | None = None
    message: str = ""
    metrics: tuple[Metric, ...] = ()
    """Headline numbers, of a step that measures."""


@dataclass(frozen=True)
class Binding:
    """A bound ref."""

    digest: str
    size_bytes: int
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hub:
    """The hub's child, and whether it answered when it was last asked."""

    child: Child | None = None
    address: str | None = None
    """HOST:PORT once it serves and its bindings have been read: before that nobody knows
    which steps are done."""
    known_beforehand: bool = False
    """Steps can be told where it will be, and none has ever been started: none is done."""


@dataclass(frozen=True)
class Ongoing:
    """The job has not ended."""


@dataclass(frozen=True)
class Complete:
    """The job has all it was asked for."""

    message: str


@dataclass(frozen=True)
class Failed:
    """The job cannot go on."""

    reason: FailedReason
    message: str


@dataclass(frozen=True)
class Stopped:
    """The user stopped the job before its end; it can be resumed."""


Outcome = Ongoing | Complete | Failed | Stopped


@dataclass(frozen=True)
class Observed:
    """The level of the world at one moment."""

    start_time: float
    """When the job was first seen, in seconds since the epoch."""
    hub: Hub = Hub()
    children: Mapping[StepName, Child] = field(default_factory=dict)
    bindings: Mapping[Ref, Binding] = field(default_factory=dict)
    """What is bound, as last heard from the hub: a silent hub takes nothing back."""
    progress: Mapping[StepName, StepProgress] = field(default_factory=dict)
    stop_requested: bool = False
    """The user asked to stop; the job can be resumed."""
    ended: Complete | Failed | None = None
    """The end that the status has told already: it is not taken back."""
    metrics: tuple[Metric, ...] = ()
    """Headline numbers of the report, once it is there."""


@dataclass(frozen=True)
class StartHub:
    """Start the hub."""


@dataclass(frozen=True)
class StopHub:
    """Stop the hub: the job has ended."""


@dataclass(frozen=True)
class StartStep:
    """Start the child of a step that has none."""

    step: Step


@dataclass(frozen=True)
class StopStep:
    """Stop a child that must not go on."""

    name: StepName
    why: str


@dataclass(frozen=True)
class DropRefs:
    """Unbind refs that nobody needs any more."""

    refs: tuple[Ref, ...]
    why: str


@dataclass(frozen=True)
class ExcuseRefs:
    """Bind refs to nothing: nobody shall wait for them any more."""

    refs: tuple[Ref, ...]
    why: str


Action = StartHub | StopHub | StartStep | StopStep | DropRefs | ExcuseRefs


@dataclass(frozen=True)
class Plan:
    """What to do now. Planning twice on the same observation gives the same plan."""

    actions: tuple[Action, ...]
    outcome: Outcome
