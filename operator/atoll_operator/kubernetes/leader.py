"""One replica leads: it holds a Lease, and writes only while nobody else can have taken it.

The semantics are those of client-go's elector; a leader that finds the Lease in any hands but
its own has lost it at once. `valid` must be asked before every write: `fencing.Fenced` does.
Losing the lease ends the process: what it was about to do belongs to another. Decides nothing
else, and starts nothing.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from atoll_operator.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    LeaseLostError,
    NotFoundError,
    UnavailableError,
)
from atoll_operator.kubernetes.api import Api, Json, Key
from atoll_operator.kubernetes.lease import (
    LeaseTiming,
    Sighting,
    holder_of,
    is_free,
    new_lease,
    released,
    seen,
    taken,
)
from atoll_operator.kubernetes.resources import LEASES

_JITTER: Final = 0.2
"""Of those who wait, so that they do not ask in step."""


def _since_boot() -> float:
    """Counts while the machine sleeps: who wakes up leads no more."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Clocks:
    """What time it is, for deciding and for showing."""

    now: Callable[[], float] = _since_boot
    """Seconds; never goes back."""
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class Candidate:
    """Who wants which lease."""

    key: Key
    identity: str
    """Of one process: one that is started again is another."""
    timing: LeaseTiming


def new_identity(host: str) -> str:
    """Of this process, for people by its host."""
    return f"{host}_{uuid.uuid4()}"


class Elector:
    """Run `run` in a task; `leading` is set while this process leads."""

    def __init__(
        self,
        api: Api,
        candidate: Candidate,
        chance: Callable[[], float],
        clocks: Clocks = Clocks(),
        on_trouble: Callable[[ApiError], None] = lambda _: None,
    ) -> None:
        self.leading = asyncio.Event()
        self._api = api
        self._key = candidate.key
        self._identity = candidate.identity
        self._timing = candidate.timing
        self._chance = chance
        self._clocks = clocks
        self._on_trouble = on_trouble
        self._sighting: Sighting | None = None
        self._held: Json = {}
        self._renewed_at = float("-inf")
        """When the renewal that succeeded last was sent: others saw it later."""

    def valid(self, now: float) -> bool:
        """Whether this process may write: it leads, and nobody else does soon."""
        return self.leading.is_set() and now < self._gives_up_at

    def seconds_left(self) -> float:
        """Until somebody else may lead, if this process falls silent now."""
        if not self.valid(self._clocks.now()):
            return 0.0
        return self._renewed_at + self._timing.duration_seconds - self._clocks.now()

    async def run(self) -> None:
        """Wait for the lease, then keep it, until cancelled: then call `release`.

        Raises:
            LeaseLostError: it could not be renewed in time, or is another's.
        """
        while not await self._attempt(self._take()):
            jitter = 1.0 + _JITTER * self._chance()
            await asyncio.sleep(self._timing.retry_seconds * jitter)
        self.leading.set()
        try:
            await self._keep()
        except LeaseLostError:
            self.leading.clear()
            raise

    async def release(self) -> None:
        """Let another lead at once. Nothing of this process may write any more."""
        if not self.leading.is_set():
            return
        self.leading.clear()
        with suppress(LeaseLostError):
            await self._attempt(self._write(lambda body: released(body, self._clocks.wall())))

    @property
    def _gives_up_at(self) -> float:
        return self._renewed_at + self._timing.renew_deadline_seconds

    async def _keep(self) -> None:
        began = self._clocks.now()
        while True:
            waited = self._clocks.now() - began  # an attempt that hung is repeated at once
            await asyncio.sleep(self._timing.retry_seconds - waited)
            began = self._clocks.now()
            if self.valid(began):
                await self._attempt(self._renew())
            if not self.valid(self._clocks.now()):
                raise LeaseLostError(
                    f"lease {self._key} was not renewed for "
                    f"{self._timing.renew_deadline_seconds:g} s: another may lead"
                )

    async def _attempt(self, step: Coroutine[Any, Any, bool]) -> bool:
        """One try, of a bounded time."""
        try:
            async with asyncio.timeout(self._timing.attempt_seconds):
                return await step
        except TimeoutError:
            self._on_trouble(UnavailableError("the lease: no answer in time"))
        except ApiError as error:
            self._on_trouble(error)
        return False

    async def _take(self) -> bool:
        """Whether this process leads now."""
        try:
            body = await self._api.get(LEASES, self._key)
        except NotFoundError:
            return await self._create()
        now = self._clocks.now()
        self._sighting = seen(self._sighting, body, now)
        if not is_free(self._sighting, self._identity, now):
            return False
        with suppress(ConflictError):  # somebody was faster
            wanted = taken(body, self._identity, self._timing, self._clocks.wall())
            self._held = await self._api.replace(LEASES, wanted)
            self._renewed_at = now
            return True
        return False

    async def _create(self) -> bool:
        now = self._clocks.now()
        wanted = taken(new_lease(self._key), self._identity, self._timing, self._clocks.wall())
        with suppress(AlreadyExistsError):
            self._held = await self._api.create(LEASES, wanted)
            self._renewed_at = now
            return True
        return False

    async def _renew(self) -> bool:
        now = self._clocks.now()
        await self._write(
            lambda body: taken(body, self._identity, self._timing, self._clocks.wall())
        )
        self._renewed_at = now
        return True

    async def _write(self, change: Callable[[Json], Json]) -> bool:
        """Change the lease that this process holds, or find that it does not."""
        try:
            self._held = await self._api.replace(LEASES, change(self._held))
        except ConflictError:  # perhaps over an own change whose answer was lost
            self._held = await self._read_own()
            self._held = await self._api.replace(LEASES, change(self._held))
        except NotFoundError as error:
            raise self._lost("nobody") from error
        return True

    async def _read_own(self) -> Json:
        try:
            body = await self._api.get(LEASES, self._key)
        except NotFoundError as error:
            raise self._lost("nobody") from error
        if holder_of(body) != self._identity:
            raise self._lost(holder_of(body) or "nobody")
        return body

    def _lost(self, holder: str) -> LeaseLostError:
        return LeaseLostError(f"lease {self._key} is held by {holder}")
