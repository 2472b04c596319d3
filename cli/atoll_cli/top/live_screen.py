"""The screen of `atoll top`, drawn anew until the job has ended or the user has seen enough."""

import asyncio
import signal
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from atoll_api.exit_codes import ExitCode
from atoll_api.status import TrainingJobStatus
from atoll_cli.live import Clocks, steps_of
from atoll_cli.targets import ClusterJob, Run
from atoll_cli.top import counted
from atoll_cli.top.columns import Known
from atoll_cli.top.keys import pressed_keys
from atoll_cli.top.screen import Size, screen
from atoll_cli.watching import statuses
from atoll_operator.plan.model import Complete, Failed
from atoll_operator.plan.status import ended_in

_QUIT: Final = ("q", "Q", "\x03", "\x04")
"""Ctrl-C and Ctrl-D come as keys where nobody makes signals of them."""

_FIRST_SECONDS: Final = 0.05
"""Between two looks whether the first status is there."""


def once(console: Console, target: Run | ClusterJob) -> None:
    """Print how it is now, all of it."""
    status = target.status()
    known = Known(moved_bytes=counted.ask(target.folder) if isinstance(target, Run) else {})
    console.print(screen(heading(target), status, known, Size(console.width), time.time()))


def until_seen(console: Console, target: Run | ClusterJob, every_seconds: float) -> int:
    """Draw it again and again; what was seen last stays on the terminal. The exit code.

    Raises:
        CliError: the job was deleted, or nobody answers any more.
    """
    view = _View(console, heading(target))
    code = asyncio.run(_drawn(view, target, every_seconds))
    if view.status is not None:
        console.print(view.drawn(lines_below=2))
        said = last_words(target, view.status, seen_enough=view.quit.is_set())
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    return code


def heading(target: Run | ClusterJob) -> str:
    """What it is called above all: short, for there is little room."""
    if isinstance(target, ClusterJob):
        return f"{target.name} in {target.place.namespace}"
    return target.title


def last_words(target: Run | ClusterJob, status: TrainingJobStatus, *, seen_enough: bool) -> str:
    """How it ended, and what to do next."""
    match ended_in(status):
        case Complete():
            return f"Complete. `atoll report {target.title}` shows what came of it."
        case Failed(reason=reason):
            return f"Failed: {reason}. `atoll logs {target.title}` shows more."
        case None if seen_enough or isinstance(target, ClusterJob):
            return f"It goes on. `atoll top {target.title}` shows it again."
        case None:
            return "Nobody works on this run: `atoll run` goes on from there."


class _View:
    """What is known, and whether the user has seen enough."""

    def __init__(self, console: Console, title: str) -> None:
        self.status: TrainingJobStatus | None = None
        self.moved_bytes: dict[str, int] = {}
        self.quit = asyncio.Event()
        self.code = ExitCode.OK
        self.console = console
        self._title = title
        self._clocks = Clocks()

    def pressed(self, key: str) -> None:
        if key in _QUIT:
            self.quit.set()

    def terminated(self) -> None:
        self.code = ExitCode.TERMINATED
        self.quit.set()

    def drawn(self, lines_below: int = 0) -> Group:
        """As it is now, on the whole terminal but so many lines."""
        if self.status is None:
            return Group(Text(f"{self._title}: asked for its status", style="dim"))
        tick, steps = time.monotonic(), steps_of(self.status)
        known = Known({it.name: self._clocks.eta(it, tick) for it in steps}, self.moved_bytes)
        size = Size(self.console.width, self.console.height - lines_below)
        return screen(self._title, self.status, known, size, time.time())


async def _drawn(view: _View, target: Run | ClusterJob, every_seconds: float) -> int:
    with _signals(view), pressed_keys(view.pressed):
        hearing = asyncio.ensure_future(_hear(view, target))
        seen = asyncio.ensure_future(view.quit.wait())
        with Live(console=view.console, screen=True, auto_refresh=False) as live:
            while not hearing.done() and not seen.done():
                live.update(view.drawn(), refresh=True)
                seconds = every_seconds if view.status else _FIRST_SECONDS
                await asyncio.wait((hearing, seen), timeout=seconds, return_when=FIRST_COMPLETED)
        seen.cancel()
        await _end(hearing)
    return view.code


async def _end(hearing: "asyncio.Future[None]") -> None:
    """Raises what broke it, if anything did before the user had seen enough."""
    if not hearing.done():
        hearing.cancel()
    with suppress(asyncio.CancelledError):
        await hearing


async def _hear(view: _View, target: Run | ClusterJob) -> None:
    counting = asyncio.ensure_future(_count(view, target))
    try:
        await _hear_statuses(view, target)
    finally:
        counting.cancel()


async def _count(view: _View, target: Run | ClusterJob) -> None:
    while isinstance(target, Run):
        view.moved_bytes = await asyncio.to_thread(counted.ask, target.folder) or view.moved_bytes
        await asyncio.sleep(counted.EVERY_SECONDS)


async def _hear_statuses(view: _View, target: Run | ClusterJob) -> None:
    async with aclosing(statuses(target)) as heard:
        async for status in heard:
            view.status = status
            if ended_in(status) is not None:
                return


@contextmanager
def _signals(view: _View) -> Iterator[None]:
    """Ctrl-C is a way to say that one has seen enough."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, view.quit.set)
    loop.add_signal_handler(signal.SIGTERM, view.terminated)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)
