"""Simulated time: an event loop, and strands of work that take turns on it. Knows nothing of Atoll.

A strand is a thread, for what it runs may block; but one runs at a time, in an order that depends on
nothing but the story. Time passes only when all of them, and the event loop, wait.
"""

import asyncio
import selectors
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FOREVER = float("inf")
LIMIT_SECONDS = 1000.0
"""A story that is not over by then hangs: the longest waits that faults cause are a fifth of it."""
_REAL_SECONDS = 120.0
"""For one turn of a strand: it computes, and waits for nothing."""


class KilledError(BaseException):
    """Ends a strand: no `except Exception` may catch it, as no process survives SIGKILL."""


class HungError(Exception):
    """Nobody gets on, or a story takes for ever."""


@dataclass
class Strand:
    """One thread that runs when it is its turn."""

    name: str
    turns: "Turns"
    work: Callable[[], None]
    wake_at: float = 0.0
    ready: Callable[[], bool] = bool
    frozen: bool = False
    killed: bool = False
    done: bool = False
    last_turn: int = 0
    error: BaseException | None = None
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def kill(self) -> None:
        """End it: it unwinds in its next turn, which is soon."""
        self.killed = True
        self.frozen = False

    def pause(self, seconds: float) -> None:
        """Of the strand itself: let time pass."""
        self.wait(bool, seconds)

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Of the strand itself: until something is so, or for so long; whether it is so."""
        self.ready = ready
        self.wake_at = self.turns.now() + seconds
        self.turns.back.release()
        self._go.acquire()
        if self.killed:
            raise KilledError(self.name)
        return ready()

    def is_due(self, now: float) -> bool:
        """Whether it has something to do."""
        if self.done:
            return False
        return self.killed or (not self.frozen and (self.wake_at <= now or self.ready()))

    def take_turn(self) -> None:
        """Of the event loop: let it run until it waits."""
        self._go.release()
        if not self.turns.back.acquire(timeout=_REAL_SECONDS):
            raise HungError(f"{self.name} waits for something outside of the simulation")

    def run(self) -> None:
        """The thread itself."""
        self._go.acquire()
        try:
            if not self.killed:
                self.work()
        except KilledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised by the loop, which is another thread
            self.error = error
        self.done = True
        self.turns.back.release()


class Turns:
    """Whose turn it is."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.back = threading.Semaphore(0)
        self.strands: list[Strand] = []
        self._count = 0
        self._running: Strand | None = None

    @property
    def current(self) -> Strand:
        """The strand whose turn it is."""
        assert self._running is not None, "asked outside of every strand"
        return self._running

    def start(self, name: str, work: Callable[[], None], delay_seconds: float = 0.0) -> Strand:
        """Begin a strand."""
        strand = Strand(name, self, work, self.now() + delay_seconds)
        self.strands.append(strand)
        threading.Thread(target=strand.run, name=name, daemon=True).start()
        return strand

    def take_one(self) -> bool:
        """Let the strand run whose turn it is; whether there was one."""
        now = self.now()
        due = [it for it in self.strands if it.is_due(now)]
        if not due:
            return False
        chosen = min(due, key=lambda it: it.last_turn)
        self._count += 1
        chosen.last_turn = self._count
        self._running = chosen
        chosen.take_turn()
        self._running = None
        if chosen.done:
            self.strands.remove(chosen)
            if chosen.error is not None:
                raise chosen.error
        return True

    def next_at(self) -> float:
        """When the next strand has something to do, if nothing happens before."""
        return min((it.wake_at for it in self.strands if not it.frozen), default=FOREVER)


class SimLoop(asyncio.SelectorEventLoop):
    """Where another loop would wait, the strands take their turns, and then time passes."""

    def __init__(self) -> None:
        self._now = 0.0
        self.turns = Turns(self.time)
        super().__init__(_Passing(self))

    def time(self) -> float:
        """Seconds since the story began."""
        return self._now

    def pass_time(self, timeout: float | None) -> None:
        """Let one strand run, or time pass until the next has something to do."""
        if self.turns.take_one():
            return
        until = min(self.turns.next_at(), FOREVER if timeout is None else self._now + timeout)
        if until == FOREVER:
            raise HungError("everybody waits, and for no timer")
        self._now = max(self._now, until)
        if self._now > LIMIT_SECONDS:
            waiting = ", ".join(it.name for it in self.turns.strands)
            raise HungError(f"not over after {LIMIT_SECONDS:.0f} s; at work: {waiting or 'nobody'}")


class _Passing(selectors.DefaultSelector):
    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout != 0:
            self._loop.pass_time(timeout)
        return found


def tell(story: Any) -> tuple[Any, float]:
    """Run a coroutine function of a `SimLoop` to its end: its result, and when that was."""
    loops: list[SimLoop] = []

    def make() -> SimLoop:
        loops.append(SimLoop())
        return loops[0]

    with asyncio.Runner(loop_factory=make) as runner:
        runner.get_loop()
        result = runner.run(story(loops[0]))
        return result, loops[0].time()
