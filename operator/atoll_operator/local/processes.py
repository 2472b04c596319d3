"""Processes of this machine: started, told, ended with all that they started."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from subprocess import STDOUT
from typing import Protocol


class Spawned(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Of the process, and of its session."""
        ...

    @property
    def returncode(self) -> int | None:
        """None while it lives; killed by signal N is -N."""
        ...

    async def wait(self) -> int:
        """Until it has ended."""
        ...

    def terminate(self) -> None:
        """SIGTERM, if it lives."""
        ...

    def kill(self) -> None:
        """SIGKILL, if it lives, to it and to all that it started."""
        ...


@dataclass(frozen=True)
class Wish:
    """A process that is wanted.

    Attributes:
        command: what makes it a worker.
        arguments: which worker, and how.
        environment: all of it.
        log: where its output goes.
        held: a descriptor that it holds open for as long as it lives.
    """

    command: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: int
    held: int


Start = Callable[[Wish], Awaitable[Spawned]]
"""How a process comes to be. Raises OSError if it does not."""


@dataclass(frozen=True)
class _Started:
    """Implements `Spawned`."""

    _process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        """See `Spawned.pid`."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """See `Spawned.returncode`."""
        return self._process.returncode

    async def wait(self) -> int:
        """See `Spawned.wait`."""
        return await self._process.wait()

    def terminate(self) -> None:
        """See `Spawned.terminate`."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """See `Spawned.kill`."""
        kill_session(self._process.pid)


async def start(wish: Wish) -> Spawned:
    """Have the operating system start it, with a standard input that ends with this process."""
    return _Started(
        await asyncio.create_subprocess_exec(
            *wish.command,
            *wish.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=wish.log,
            stderr=STDOUT,
            env=dict(wish.environment),
            start_new_session=True,  # Ctrl-C in the terminal is for the parent alone
            pass_fds=(wish.held,),
        )
    )


def kill_session(pid: int) -> None:
    """End whoever leads a session of its own, and all in it, now."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
