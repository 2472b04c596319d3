"""Which key is worked on next. The level is read by the work itself: a key says only "look".

The semantics are those of controller-runtime's work queue:

* a key that waits is not added twice, and one that is worked on is worked on again afterwards;
* one key is never worked on twice at once, and at most `workers` keys are;
* work that fails is repeated after a backoff, which begins anew after a success; whoever adds
  the key meanwhile need not wait for it;
* of several delayed additions of a key the earliest counts: the work says anew when to look.

Time is the event loop's. Knows neither the API server nor what the keys mean.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from atoll_operator.kubernetes.backoff import Backoff

K = TypeVar("K", bound=Hashable)
Work = Callable[[K], Awaitable[float | None]]
"""Works on a key; in how many seconds to look again, if nobody adds the key before."""


@dataclass(frozen=True)
class Pass(Generic[K]):
    """One piece of work that has ended, for logs and metrics."""

    key: K
    waited_seconds: float
    """Since the key was ready."""
    worked_seconds: float
    failures: int
    """In a row, with this one."""
    error: Exception | None = None


def _no_rest(_: object) -> float:
    return 0.0


class WorkQueue(Generic[K]):
    """Keys may be added at any time, before it runs too: they wait."""

    def __init__(
        self,
        backoff: Backoff,
        chance: Callable[[], float],
        on_pass: Callable[[Pass[K]], None] = lambda _: None,
    ) -> None:
        self._backoff = backoff
        self._chance = chance
        self._on_pass = on_pass
        self._rest: Callable[[K], float] = _no_rest
        self._rests: dict[K, float] = {}
        """Until when keys wait."""
        self._urgent: deque[K] = deque()
        self._ready: deque[K] = deque()
        self._ready_since: dict[K, float] = {}
        self._working: dict[K, float] = {}
        """Since when."""
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: Counter[K] = Counter()
        self._paused = False
        self._stopped = asyncio.Event()
        self._begin: Callable[[K], None] | None = None
        self._workers = 0

    @property
    def depth(self) -> int:
        """Keys that are ready and wait for a worker."""
        return len(self._urgent) + len(self._ready)

    @property
    def working(self) -> int:
        """Keys that are worked on."""
        return len(self._working)

    @property
    def longest_seconds(self) -> float:
        """How long the oldest of them is worked on by now; 0 if there is none."""
        return _now() - min(self._working.values()) if self._working else 0.0

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Look at this key soon; at an urgent one before those that are not, but in their order."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready_since:
            left = self._rests.get(key, 0.0) - _now()
            if left > 0 and not urgent:
                self.add_after(key, left)
                return
            (self._urgent if urgent else self._ready).append(key)
            self._ready_since[key] = _now()
            self._start_work()

    def add_after(self, key: K, seconds: float) -> None:
        """Look at this key in so many seconds; an earlier time that is known stays."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()
        self._timers[key] = loop.call_later(seconds, self._ring, key)

    def forget(self, key: K) -> None:
        """Nothing is to be done for this key any more, unless somebody adds it again."""
        self._failures.pop(key, None)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def pause(self) -> None:
        """Begin no more work; what has begun goes on."""
        self._paused = True

    def resume(self) -> None:
        """Work again."""
        self._paused = False
        self._start_work()

    def stop(self) -> None:
        """Begin no more work; `run` returns when what has begun has ended."""
        self._stopped.set()

    async def run(self, work: Work[K], workers: int, rest: Callable[[K], float] = _no_rest) -> None:
        """Work on the keys until `stop`. Cancelling it cancels what has begun.

        An `Exception` of the work counts as a failure; any other is raised, in a group.

        Args:
            work: a pass over one key.
            workers: passes at the same time.
            rest: seconds after a pass in which a key that is not urgent waits: what changes often
                and is long to look at is looked at for many changes at once.
        """
        self._workers, self._rest = workers, rest
        async with asyncio.TaskGroup() as group:
            self._begin = lambda key: self._begin_pass(group, work, key)
            try:
                self._start_work()
                await self._stopped.wait()
            finally:
                self._begin = None

    def _ring(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    def _start_work(self) -> None:
        while self.depth and not self._paused and len(self._working) < self._workers:
            if self._begin is None or self._stopped.is_set():
                return
            self._begin((self._urgent or self._ready).popleft())

    def _begin_pass(self, group: asyncio.TaskGroup, work: Work[K], key: K) -> None:
        self._working[key] = _now()
        self._rests.pop(key, None)
        waited_seconds = _now() - self._ready_since.pop(key)
        group.create_task(self._pass(work, key, waited_seconds))

    async def _pass(self, work: Work[K], key: K, waited_seconds: float) -> None:
        began = _now()
        error: Exception | None = None
        try:
            again_seconds = await work(key)
            self._failures.pop(key, None)
        except Exception as caught:  # noqa: BLE001 # whatever it is, the key is looked at again
            error = caught
            self._failures[key] += 1
            again_seconds = self._backoff.seconds_after(caught, self._failures[key], self._chance())
        except asyncio.CancelledError:
            self._again.add(key)  # nobody has looked
            raise
        except BaseException:
            self._begin = None
            raise
        finally:
            self._end_pass(key)
        if again_seconds is not None:
            self.add_after(key, again_seconds)
        self._on_pass(Pass(key, waited_seconds, _now() - began, self._failures[key], error))

    def _end_pass(self, key: K) -> None:
        self._working.pop(key, None)
        if (rest := self._rest(key)) > 0:
            self._rests[key] = _now() + rest
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        self._start_work()


def _now() -> float:
    return asyncio.get_running_loop().time()
