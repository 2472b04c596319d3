"""One child process of this machine: started, watched, started again, stopped.

The contract is the cluster's: the runtime retries within a budget, exit codes say what a
restart can mend, and the plan only reads what became of it. Standard input is a pipe that
stays open: however this process dies, the kernel closes it and the child ends too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from atoll_api.exit_codes import ExitCode
from atoll_api.names import StepName
from atoll_operator.errors import FolderError
from atoll_operator.last_words import MESSAGE_BYTES, last_words
from atoll_operator.local.folder import folder_errors
from atoll_operator.local.nursery import Nursery
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.places import Places
from atoll_operator.local.processes import Spawned, Wish
from atoll_operator.plan.model import LIVE_STATES, Child, ChildState
from atoll_operator.plan.policies.restarts import restarts


async def _nothing(_process: Spawned) -> None:
    """Most children need no attendance."""


@dataclass(frozen=True)
class Recipe:
    """How to start one child."""

    name: StepName
    command: tuple[str, ...]
    """Of a worker."""
    arguments: tuple[str, ...]
    """Behind it: which worker, and how."""
    environment: Mapping[str, str]
    log: Path
    max_restarts: int
    """A new `atoll run` starts with a new budget."""
    inherited_fd: int
    """The folder's lock: it is free again only when the last child is gone."""
    prepare: Callable[[], None] = lambda: None
    """Called before each attempt."""
    attend: Callable[[Spawned], Awaitable[None]] = _nothing
    """Runs beside each attempt and ends with it."""
    nursery: Nursery | None = None
    """Who makes it, if that is possible; else it is started as any process is."""


class ChildProcess:
    """Supervises the one child of a step. `child` is its level, read at any time."""

    def __init__(
        self,
        recipe: Recipe,
        places: Places,
        priority: int,
        options: LocalOptions,
        changed: asyncio.Event,
    ) -> None:
        self._recipe = recipe
        self._places = places
        self._priority = priority
        self._options = options
        self._changed = changed
        self._stop = asyncio.Event()
        self._counted_restarts = 0
        waits = f"waits for one of {places.count} places"
        self._child = Child(ChildState.STARTING, message=waits)
        self._task = asyncio.get_running_loop().create_task(self._supervise())
        self._task.add_done_callback(lambda _: changed.set())

    @property
    def child(self) -> Child:
        """What has become of the child; raises what broke its supervision, if anything did."""
        if self._task.done():
            self._task.result()
        return self._child

    @property
    def live(self) -> bool:
        """Whether the child has not ended for good."""
        return self.child.state in LIVE_STATES

    def request_stop(self) -> None:
        """Ask the child to save its work and end; SIGKILL follows after the grace time."""
        self._stop.set()

    async def ended(self) -> None:
        """Wait until the child has ended for good."""
        await self._task

    async def _supervise(self) -> None:
        while True:
            exit_code = await self._attempt_in_turn()
            if exit_code is None or (self._stop.is_set() and exit_code != ExitCode.OK):
                return self._become(replace(self._child, state=ChildState.STOPPED))
            if exit_code == ExitCode.OK:
                return self._become(replace(self._child, state=ChildState.SUCCEEDED))
            choice = restarts(exit_code, self._counted_restarts, self._recipe.max_restarts)
            if not choice.again:
                return self._become(replace(self._child, state=ChildState.FAILED))
            self._counted_restarts += int(choice.counted)
            delay_seconds = self._options.timing.backoff_seconds(self._child.restarts)
            self._become(
                replace(self._child, state=ChildState.RESTARTING, restarts=self._child.restarts + 1)
            )
            await self._unless_stopped(asyncio.sleep(delay_seconds))

    async def _attempt_in_turn(self) -> int | None:
        """The exit code of one attempt; None when it was stopped before it began."""
        if not await self._unless_stopped(self._places.take(self._priority)):
            return None
        try:
            return await self._attempt()
        finally:
            self._places.give_back()

    async def _attempt(self) -> int:
        offset = _size_bytes(self._recipe.log)
        try:
            self._recipe.prepare()
            process = await self._spawn()
        except FolderError as error:
            return self._ended_with(error.exit_code, str(error))
        except OSError as error:
            return self._ended_with(ExitCode.FAILED, f"could not be started: {error.strerror}")
        self._become(
            replace(self._child, state=ChildState.RUNNING, message="", since=self._options.clock())
        )
        attendance = asyncio.ensure_future(self._recipe.attend(process))
        if not await self._unless_stopped(process.wait()):
            await self._end(process)
        attendance.cancel()
        await asyncio.gather(attendance, return_exceptions=True)
        assert process.returncode is not None
        return self._ended_with(_shell_code(process.returncode), self._last_words(offset))

    async def _spawn(self) -> Spawned:
        recipe = self._recipe
        with self._open_log() as log:
            wish = Wish(
                recipe.command,
                recipe.arguments,
                recipe.environment,
                log.fileno(),
                recipe.inherited_fd,
            )
            if recipe.nursery is not None:
                born = await recipe.nursery.spawn(wish)
                if born is not None:
                    return born
            return await self._options.start(wish)

    def _open_log(self) -> BinaryIO:
        with folder_errors(self._recipe.log):
            return self._recipe.log.open("ab")

    async def _end(self, process: Spawned) -> None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._options.timing.stop_grace_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _last_words(self, offset: int) -> str:
        """The last log line of this attempt; who said it stands beside it already."""
        return last_words(_tail(self._recipe.log, offset), self._recipe.name)

    def _ended_with(self, exit_code: int, message: str) -> int:
        self._child = replace(self._child, exit_code=exit_code, message=message)
        return exit_code

    def _become(self, child: Child) -> None:
        self._child = child
        self._changed.set()

    async def _unless_stopped(self, waiting: Awaitable[object]) -> bool:
        """Whether the wait came to its end before a stop was asked for."""
        work = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            return work.done()
        finally:
            work.cancel()
            stop.cancel()


def _tail(log: Path, offset: int) -> str:
    """The end of what was written after `offset` bytes; enough for a line."""
    try:
        with log.open("rb") as file:
            file.seek(max(offset, _size_bytes(log) - 16 * MESSAGE_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _shell_code(returncode: int) -> int:
    """Killed by signal N is -N to Python and 128 + N to a shell and to Kubernetes."""
    return returncode if returncode >= 0 else 128 - returncode


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
