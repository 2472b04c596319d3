"""The line for bulk transfers: some run at once, the others wait in order of arrival.

Control calls never stand in it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from atoll_worker.exchange.upload import BusyError

MAX_WAITING: Final = 256


@dataclass(frozen=True)
class BulkLimits:
    """What one transfer may take from the others."""

    places: int = 2
    """Transfers at once: more only cost memory."""
    stall_seconds: float = 30.0
    """A transfer that moves nothing for so long is ended."""
    turn_seconds: float = 30.0
    """After so long a transfer gives its place to one that waits, and goes on after it: a slow
    reader holds up nobody for longer."""
    notice_seconds: float = 10.0
    """One that waits is told so as often: its silence would look like a dead server."""


class Line:
    """Where transfers wait for a place. Used from one event loop."""

    def __init__(self, limits: BulkLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._places = asyncio.Semaphore(limits.places)
        self._waiting = 0

    @asynccontextmanager
    async def place(self, tell: Callable[[], Awaitable[object]]) -> AsyncIterator["Turn"]:
        """Wait for a place, calling `tell` now and then, and hold it.

        Raises:
            BusyError: too many wait already.
        """
        if self._waiting >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} transfers wait already: try again")
        self._waiting += 1
        try:
            await self._wait(tell)
        finally:
            self._waiting -= 1
        try:
            yield Turn(self, self._clock() + self._limits.turn_seconds)
        finally:
            self._places.release()

    def over(self, until: float) -> bool:
        """Whether a turn that lasts until then is over."""
        return self._waiting > 0 and self._clock() >= until

    async def _wait(self, tell: Callable[[], Awaitable[object]]) -> None:
        # One `acquire` throughout: asking anew would mean standing at the end again.
        acquire = asyncio.ensure_future(self._places.acquire())
        try:
            while not (await asyncio.wait([acquire], timeout=self._limits.notice_seconds))[0]:
                async with asyncio.timeout(self._limits.stall_seconds):
                    await tell()
        except BaseException:
            if not acquire.cancel():
                self._places.release()
            raise


@dataclass(frozen=True)
class Turn:
    """A place that is held."""

    line: Line
    until: float

    @property
    def over(self) -> bool:
        """Whether it is time to give it to another."""
        return self.line.over(self.until)
