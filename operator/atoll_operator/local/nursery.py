"""Workers of this machine from a process that has loaded what they need: the client's side.

A new process takes seconds to load torch, a fork of one that has done so takes a moment. What
cannot be done this way (another environment, a nursery that is gone) is a new process instead:
whoever asks hears None.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from atoll_operator.local.processes import Wish, kill_session

_MESSAGE_BYTES: Final = 1 << 12
_ANY_TIME: Final = ("TRACEPARENT", "TRACESTATE", "OTEL_")
"""Variables that nothing reads while it is loaded."""
_GPUS: Final = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia",
    "/sys/module/nvgpu",
    "/dev/kfd",
    "/dev/dxg",
)
"""Of NVIDIA (whose device may appear with its first use), of AMD, and of either below Windows."""
_LOOK_SECONDS: Final = 0.2
_BORN_SECONDS: Final = 120.0
"""How long to wait for a worker: a nursery that loads from a slow disk takes its time, too."""


@dataclass
class Forked:
    """A worker that a nursery has made."""

    pid: int
    lifeline: int
    """Our end of its standard input."""
    ended: "asyncio.Future[int]"

    @property
    def returncode(self) -> int | None:
        """See `Spawned.returncode`."""
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        """See `Spawned.wait`."""
        return await asyncio.shield(self.ended)

    def terminate(self) -> None:
        """See `Spawned.terminate`."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """See `Spawned.kill`."""
        if not self.ended.done():
            kill_session(self.pid)

    def end(self, returncode: int) -> None:
        """Note how it ended; the first word counts."""
        if not self.ended.done():
            self.ended.set_result(returncode)
            os.close(self.lifeline)


def possible(command: Sequence[str]) -> bool:
    """Whether workers of this command can be made so.

    Only Linux tells of the end of a process that is not a child. Where there is a GPU every worker
    is a process of its own: a driver that was loaded does not survive a fork.
    """
    ours = tuple(command) == _worker()
    return ours and _tells_of_ends() and not any(Path(it).exists() for it in _GPUS)


def _tells_of_ends() -> bool:
    """Whether kernel and Python have pidfds: not before Linux 5.3, nor in every build of Python."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


@dataclass(frozen=True)
class _Asked:
    """A worker that is being made."""

    lifeline: int
    answer: "asyncio.Future[Forked]"


@dataclass
class Nursery:
    """Started with the first worker, and again if it is lost. Needs a running event loop."""

    _socket: socket.socket | None = None
    _process: asyncio.subprocess.Process | None = None
    _environment: Mapping[str, str] = field(default_factory=dict)
    _listens: "asyncio.Task[None] | None" = None
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _alive: dict[int, Forked] = field(default_factory=dict)
    _count: int = 0
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def spawn(self, wish: Wish) -> Forked | None:
        """A worker; None where it has to be a process of its own."""
        with contextlib.suppress(OSError):
            await self.warm(wish.environment)
        if self._socket is None or not _alike(wish.environment, self._environment):
            return None
        theirs, ours = os.pipe()
        try:
            return await self._ask(self._socket, wish, theirs, ours)
        except OSError:
            os.close(ours)
            return None
        finally:
            os.close(theirs)

    async def warm(self, environment: Mapping[str, str]) -> None:
        """Start it, if it is not there: workers of this environment will be asked for."""
        async with self._opening:
            if self._socket is None:
                await self._open(environment)

    async def close(self) -> None:
        """End it; whoever it has made lives on."""
        self._end()
        if self._listens is not None:
            await self._listens

    def _end(self) -> None:
        """Now, whatever it does: it keeps nothing."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # its own method may take its end away

    async def _open(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *_worker("atoll_worker.nursery"),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,  # what is wrong here a worker will say, too
                env=dict(environment),
                start_new_session=True,  # Ctrl-C in the terminal is for the parent alone
            )
        ours.setblocking(False)
        self._socket, self._environment = ours, dict(environment)
        self._listens = asyncio.create_task(self._listen(ours, self._process), name="nursery")

    async def _ask(
        self, nursery: socket.socket, wish: Wish, standard_input: int, lifeline: int
    ) -> Forked:
        self._count += 1
        changed = dict(wish.environment.items() - self._environment.items())
        request = {
            "number": self._count,
            "title": " ".join((*_worker(), *wish.arguments)),
            "arguments": list(wish.arguments),
            "changed": changed,
            "removed": sorted(self._environment.keys() - wish.environment.keys()),
        }
        answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._asked[self._count] = _Asked(lifeline, answer)
        fds = [standard_input, wish.log, wish.held]
        try:
            socket.send_fds(nursery, [json.dumps(request).encode()], fds)
        except OSError:
            del self._asked[self._count]
            raise
        try:
            async with asyncio.timeout(_BORN_SECONDS):
                return await answer
        except TimeoutError:
            self._end()  # and with it whatever it still makes: nobody holds its lifeline
            raise ConnectionResetError("the nursery does not answer") from None

    async def _listen(self, answers: socket.socket, nursery: asyncio.subprocess.Process) -> None:
        """Until the nursery is gone."""
        loop = asyncio.get_running_loop()
        try:
            with answers:
                while content := await _received(loop, answers):
                    self._hear(json.loads(content))
        finally:
            self._end()
            self._socket = None
            self._let_go()
        await nursery.wait()

    def _let_go(self) -> None:
        """Of a nursery that is gone: fail what was asked of it, and follow what it has made."""
        for unanswered in self._asked.values():
            if not unanswered.answer.done():
                unanswered.answer.set_exception(ConnectionResetError("the nursery is gone"))
        self._asked.clear()
        for orphan in list(self._alive.values()):
            self._follow(orphan)

    def _hear(self, said: Mapping[str, int]) -> None:
        if "refused" in said:
            refused = self._asked.pop(said["number"]).answer
            if not refused.done():
                refused.set_exception(OSError(said["refused"], os.strerror(said["refused"])))
            return
        pid = said["pid"]
        if "returncode" in said:
            self._alive.pop(pid).end(said["returncode"])
            return
        asked = self._asked.pop(said["number"])
        born = Forked(pid, asked.lifeline, asyncio.get_running_loop().create_future())
        self._alive[pid] = born
        if not asked.answer.done():  # nor has whoever asked gone
            asked.answer.set_result(born)

    def _follow(self, orphan: Forked) -> None:
        """Nobody will say how it ended, but it can be seen that it did: it counts as killed."""
        if _lives(orphan.pid):
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._follow, orphan)
            return
        if self._alive.get(orphan.pid) is orphan:
            del self._alive[orphan.pid]
        orphan.end(-signal.SIGKILL)


async def _received(loop: asyncio.AbstractEventLoop, answers: socket.socket) -> bytes:
    """The next answer; none when there will be none."""
    try:
        return await loop.sock_recv(answers, _MESSAGE_BYTES)
    except ConnectionResetError:  # said once, before what was answered until then
        return await loop.sock_recv(answers, _MESSAGE_BYTES)


def _lives(pid: int) -> bool:
    """Whether a process is there that has not ended: where there is no init, the dead stay."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _worker(module: str = "atoll_worker") -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module)


def _alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a process of one environment loads what one of the other does."""
    return _read_early(one) == _read_early(other)


def _read_early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: it for name, it in environment.items() if not name.startswith(_ANY_TIME)}
