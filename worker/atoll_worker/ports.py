"""What a role may do to the world outside its own memory.

Roles are functions `run(order, context)`. The real context speaks gRPC to the hub
(`exchange.client`); the one in memory (`exchange.memory`) passes the same suite in `tests/ports`.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue
from torch import Tensor

from atoll_api.names import Ref
from atoll_api.spec.exchange import Encoding
from atoll_api.status import Metric
from atoll_worker.errands import Errands, ThreadOfErrands
from atoll_worker.exchange.traffic import Traffic
from atoll_worker.tally import Tally


@dataclass(frozen=True)
class Base:
    """What a Delta was taken against: both sides hold it, or can fetch it."""

    ref: Ref
    digest: str
    artifact: "Artifact"
    """Shared by all that was taken against it: do not change its tensors."""

    @property
    def depth(self) -> int:
        """How many artifacts a reader has to fetch for it: 1, and those it was taken against."""
        above = self.artifact.base
        return 1 if above is None else 1 + above.depth


@dataclass(frozen=True)
class Artifact:
    """Named tensors and what is said about them.

    Equal artifacts have equal digests, so `metadata` holds no time, host or restart count.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    """Digests of the artifacts that this one was made from."""
    encoding: Encoding = "Raw"
    """How its float tensors travel; all but Raw round them. A fetched artifact has that of the
    published one, so that publishing it again gives the same digest."""
    base: Base | None = None
    """What a Delta is taken against; without it all tensors travel raw."""


@dataclass(frozen=True)
class Binding:
    """What a ref is bound to."""

    ref: Ref
    digest: str
    """Of the manifest: `blake3:<64 hex digits>`."""
    size_bytes: int
    parents: tuple[str, ...] = ()


class Artifacts(Protocol):
    """The artifact store of the job, seen from one process. Safe to use from several threads.

    Every call retries what a retry may mend, with backoff, and then raises
    `errors.UnavailableError`; what the hub refuses raises `errors.RejectedError`.
    """

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        """Upload what the hub lacks and bind the ref, durably.

        A ref that is bound already stays bound: the binding returned is the one that stands,
        and a caller who sees another digest goes on from that artifact.
        """
        ...

    def fetch(self, ref: Ref) -> Artifact:
        """Download the artifact of a bound ref, each blob checked against its digest.

        Raises:
            errors.RejectedError: nothing is bound to the ref.
            errors.CorruptArtifactError: the bytes do not have the digest they are named by.
        """
        ...

    def bindings(self, prefix: str = "") -> Mapping[Ref, Binding]:
        """The refs bound now whose name begins with `prefix`."""
        ...

    def drop(self, refs: Sequence[Ref]) -> None:
        """Unbind refs; those that are not bound are passed over."""
        ...


class Onlooker(Protocol):
    """Sees what islands bind while they train."""

    def wait(self, refs: Collection[Ref], seconds: float) -> Mapping[Ref, str]:
        """Wait until all refs are bound, or for so long; digests of those that are, by ref.

        With 0 seconds: those that are known to be bound now.
        """
        ...

    def fetch(self, ref: Ref, patience_seconds: float) -> Artifact:
        """As `Artifacts.fetch`, from whoever has it, and for no longer than that without a byte.

        Raises:
            errors.UnavailableError: nobody who has it answered.
            errors.RejectedError: nothing is bound to the ref.
            errors.CorruptArtifactError: the bytes do not have the digest they are named by.
        """
        ...

    def excuse(self, ref: Ref) -> Binding:
        """Bind a ref to nothing, `absence`, if nothing is bound to it yet; what stands."""
        ...


class Neighbourhood(Onlooker, Protocol):
    """An island's place among its neighbours: what it offers stays in its memory."""

    def offer(self, ref: Ref, artifact: Artifact) -> Binding:
        """Bind a ref to an artifact whose tensors stay here and must not change, and serve it.

        The binding that stands may be another's: then nothing is offered.
        """
        ...

    def withdraw(self, refs: Sequence[Ref]) -> None:
        """Unbind refs, and serve them no longer."""
        ...


@dataclass(frozen=True)
class WireBytes:
    """Bytes that the kernel counted on the sockets of a process, by kind of peer."""

    peer: str
    """`hub`, `island` or `other`."""
    sent_bytes: int
    received_bytes: int


@dataclass(frozen=True)
class ProgressReport:
    """How far one step is; units are optimizer steps where there are any."""

    done: int
    total: int
    loss: float | None = None
    samples_per_second: float | None = None
    message: str = ""
    training_wire: tuple[WireBytes, ...] = ()
    metrics: tuple[Metric, ...] = ()
    """Headline numbers, of a step that measures; at most 16 arrive."""


class Progress(Protocol):
    """Where a process says how far it is, and hears how far the others are."""

    def report(self, report: ProgressReport) -> None:
        """Say how far this step is; returns at once.

        A report may be lost; the last one of a process that ends well is not.
        """
        ...

    def flush(self) -> None:
        """Wait until the last report has arrived, for a few seconds: what is bound next shows it."""
        ...

    def snapshot(self) -> Mapping[str, ProgressReport]:
        """The last report of each step, by name."""
        ...


class Stop(Protocol):
    """Whether this process was told to stop (SIGTERM)."""

    def requested(self) -> bool:
        """True from the moment of the signal; cheap enough for every training step."""
        ...


@dataclass(frozen=True)
class Context:
    """The world of one role."""

    artifacts: Artifacts
    progress: Progress
    stop: Stop
    traffic: Traffic = field(default_factory=Traffic)
    """Where the bytes that `artifacts` moves are counted, by phase."""
    neighbourhood: Neighbourhood | None = None
    """For an island of a strategy that merges."""
    onlooker: Onlooker | None = None
    """For the process that merges."""
    tally: Tally = field(default_factory=Tally)
    """Where a role counts what it does; one that counts nothing, unless somebody looks."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    errands: Callable[[str], Errands] = ThreadOfErrands
    """Makes a place, by its name, for what is done beside the training."""
