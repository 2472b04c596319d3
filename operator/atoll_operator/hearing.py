"""What a runtime has heard of one job's hub: its silence takes nothing back."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from atoll_api.names import Ref, StepName
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Identity
from atoll_operator.plan.model import Binding, Child, ChildState, StepProgress

_ENDS: Final = frozenset({ChildState.SUCCEEDED, ChildState.FAILED})


class HubClient(Protocol):
    """What a runtime asks the hub; `atoll_operator.progress` is the one over gRPC.

    All raise `errors.HubUnavailableError` when the hub does not answer.
    """

    async def snapshot(
        self, address: str, identity: Identity
    ) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
        """The last report of each step and all bindings."""
        ...

    async def drop(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """Unbind refs; those that are not bound are passed over."""
        ...

    async def excuse(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """Bind refs to nothing; those that are bound stay so."""
        ...


class Hearing:
    """Asks one hub, not too often, and remembers what it said last."""

    def __init__(
        self,
        client: HubClient,
        identity: Identity,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of a hub that has not been asked yet.

        Args:
            client: how to ask.
            identity: the operator's, for this job.
            poll_seconds: between two questions, unless somebody has ended.
            clock: seconds.
        """
        self.progress: dict[StepName, StepProgress] = {}
        self.bindings: dict[Ref, Binding] = {}
        self._client = client
        self._identity = identity
        self.poll_seconds = poll_seconds
        """Between two questions; may change."""
        self._clock = clock
        self._at: float | None = None
        self._ends: set[StepName] = set()
        """Children that had ended before an answer: what they bound is known."""
        self._stopped: set[StepName] = set()
        """Children told to stop: whether one bound its last ref first may never be known."""

    @property
    def heard(self) -> bool:
        """Whether this hub has answered since it was started."""
        return self._at is not None

    def unhear(self) -> None:
        """A hub that is started again has to be heard again."""
        self._at = None

    def started(self, name: StepName) -> None:
        """A child of this step begins anew."""
        self._ends.discard(name)
        self._stopped.discard(name)

    def told_to_stop(self, name: StepName) -> None:
        """Nobody waits for the last word of this child."""
        self._stopped.add(name)

    def lost(self, children: Mapping[StepName, Child]) -> None:
        """The hub is gone: nobody is left to ask what those who have ended did bind."""
        self._ends |= _ended(children) - self._stopped

    async def listen(self, address: str, children: Mapping[StepName, Child]) -> None:
        """Ask, if it is time to."""
        ended = _ended(children)
        if not self._due(ended):
            return
        try:
            progress, bindings = await self._client.snapshot(address, self._identity)
        except HubUnavailableError:
            return
        self.progress |= progress
        self.bindings = dict(bindings)
        self._at = self._clock()
        self._ends |= ended

    def as_heard(self, children: Mapping[StepName, Child]) -> dict[StepName, Child]:
        """The children as the plan may see them.

        A child has not ended for the plan before its last binding has been asked for. One that was
        told to stop is waited for no longer, however it ended meanwhile.
        """
        return {name: self._one(name, child) for name, child in children.items()}

    async def drop(self, address: str, refs: Iterable[Ref]) -> bool:
        """Unbind refs. Whether the hub answered: the plan asks again until they are gone."""
        gone = tuple(refs)
        try:
            await self._client.drop(address, self._identity, gone)
        except HubUnavailableError:
            return False
        for ref in gone:
            self.bindings.pop(ref, None)
        return True

    async def excuse(self, address: str, refs: Iterable[Ref]) -> None:
        """Bind refs to nothing. Best effort: the plan asks again until they are."""
        with suppress(HubUnavailableError):
            await self._client.excuse(address, self._identity, tuple(refs))

    def _due(self, ended: set[StepName]) -> bool:
        if self._at is None or ended - self._ends:
            return True
        return self._clock() - self._at >= self.poll_seconds

    def _one(self, name: StepName, child: Child) -> Child:
        if child.state not in _ENDS or name in self._ends:
            return child
        stopped = name in self._stopped
        state = ChildState.STOPPED if stopped else ChildState.RUNNING
        return replace(child, state=state, exit_code=None, message="")


def _ended(children: Mapping[StepName, Child]) -> set[StepName]:
    return {name for name, child in children.items() if child.state in _ENDS}
