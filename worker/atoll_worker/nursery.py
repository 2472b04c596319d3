"""`python -m atoll_worker.nursery`: loads what workers need once, and makes each by forking itself.

To load torch takes longer than many a step. The nursery's standard input is a socket: a request
names the arguments of a worker and what of its environment is different, and brings its standard
input, its log and what else it is to hold open; the answers say which process it became, and with
what it ended. When nobody is at the other end any more, the nursery ends; its workers have lifelines
of their own.

It computes nothing, so that a fork is as good as a new process. (OpenBLAS may have started threads for
`islands.threads`; it ends its own before a fork.)
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import setproctitle

from atoll_worker import __main__ as worker

_STANDARD_INPUT: Final = 0
_MESSAGE_BYTES: Final = 1 << 17
_MOST_FDS: Final = 16
_ASKED_TO_END: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOADED: Final = (
    "atoll_api.work_order",
    "atoll_worker.context",
    "atoll_worker.showing",
    "atoll_worker.roles.island",
    "atoll_worker.roles.merge",
    "atoll_worker.roles.partition",
    "atoll_worker.roles.router",
)
"""What most steps need. A worker loads for itself what else it does: one step alone makes figures."""


@dataclass(frozen=True)
class Request:
    """A worker that is wanted.

    Attributes:
        number: by which the answer says whose it is.
        title: as `ps` shall show it.
        arguments: of `atoll_worker`.
        changed: variables of its environment that this process has not, or otherwise.
        removed: those that it must not have.
        fds: its standard input, its output, and what else it holds open.
    """

    number: int
    title: str
    arguments: Sequence[str]
    changed: Mapping[str, str]
    removed: Sequence[str]
    fds: Sequence[int]


@dataclass
class _Nursery:
    """Whoever is alive of those it made: process ids by the descriptors that tell of their end."""

    control: socket.socket
    alive: dict[int, int] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)

    def serve(self) -> Request | None:
        """Make workers until nobody wants any; a worker returns from here with what it is to do."""
        waiting = select.poll()
        waiting.register(self.control, select.POLLIN)
        while True:
            for fd, _ in waiting.poll():
                if fd in self.alive:
                    waiting.unregister(fd)
                    self._bury(fd)
                    continue
                request = _received(self.control)
                if request is None:
                    return None
                try:
                    born = self._born(request)
                except OSError as error:  # no more processes, or descriptors: others live on
                    self._say(number=request.number, refused=error.errno or 0)
                    continue
                if born is None:
                    return request
                waiting.register(born, select.POLLIN)

    def _born(self, request: Request) -> int | None:
        """What will tell of its end; None in the new process itself.

        Raises:
            OSError: it could not be made.
        """
        opened = list(request.fds)
        try:
            ready, own = os.pipe()
            opened += (ready, own)
            pid = os.fork()
            if pid == 0:
                os.setsid()  # who made it may end it with all that it starts
                os.close(ready)
                self._leave()
                _become(request)
                os.close(own)
                return None
            os.close(own)
            opened.remove(own)
            os.read(ready, 1)  # it is a worker now, or dead
        finally:
            if os.getpid() == self.pid:
                _close(opened)
        ended = _told_of(pid)
        self.alive[ended] = pid
        self._say(number=request.number, pid=pid)
        return ended

    def _leave(self) -> None:
        self.control.close()
        for fd in self.alive:
            os.close(fd)

    def _bury(self, ended: int) -> None:
        pid = self.alive.pop(ended)
        os.close(ended)
        _, status = os.waitpid(pid, 0)
        self._say(pid=pid, returncode=os.waitstatus_to_exitcode(status))

    def _say(self, **answer: int) -> None:
        try:
            self.control.send(json.dumps(answer).encode())
        except BrokenPipeError:  # nobody listens any more: the next look at the socket ends this
            return


def main() -> int:
    """Load, and make workers; in a worker, be it to its end."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read as it is loaded; see atoll_worker
    for number in _ASKED_TO_END:  # whoever asks all of a group to end means the workers
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or nobody could be waited for
    control = socket.socket(fileno=os.dup(_STANDARD_INPUT))
    for name in _LOADED:
        import_module(name)
    gc.collect()
    gc.freeze()  # or the first collection in a worker copies every page
    request = _Nursery(control).serve()
    if request is None:
        return 0
    try:
        return worker.main()
    finally:
        gc.unfreeze()  # libraries complain on standard error of what is left at the end


def _received(control: socket.socket) -> Request | None:
    """The next request; None when there will be none."""
    content, fds, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, _MOST_FDS)
    if not content:
        return None
    said: dict[str, Any] = json.loads(content)
    return Request(**said, fds=fds)


def _told_of(pid: int) -> int:
    """A descriptor that tells of the end of a child.

    Raises:
        OSError: there is none; nor is there a child any more.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _become(request: Request) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if "numpy.random" in sys.modules:  # of a task that draws from it: not the same on every island
        sys.modules["numpy.random"].seed()
    standard_input, log, *others = request.fds
    os.dup2(standard_input, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(standard_input)
    os.close(log)
    for fd in others:
        os.set_inheritable(fd, True)  # as from a parent, for what it starts in its turn
    for name in request.removed:
        os.environ.pop(name, None)
    os.environ.update(request.changed)
    sys.argv[1:] = request.arguments
    setproctitle.setproctitle(request.title)


if __name__ == "__main__":
    sys.exit(main())
