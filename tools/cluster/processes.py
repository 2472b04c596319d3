"""Starts and ends processes, and finds them again without a file of process ids.

Each process carries a mark in its environment: the state folder, the component, and a digest of
what it was started with. Whoever starts it may be killed at any moment: the mark is there as soon
as the process is. A process id that was given to somebody else has no such mark, and a handle on
the process (pidfd) keeps it from being given away between the look and the signal.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tools.cluster.components import Component

MARK = "ATOLL_TEST_CLUSTER"
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROC = Path("/proc")


@dataclass(frozen=True)
class Mark:
    """What a process says of itself."""

    state: Path
    component: str
    digest: str

    def __str__(self) -> str:
        """As the value of a variable."""
        return f"{self.digest}:{self.component}:{self.state}"


@dataclass(frozen=True)
class Process:
    """One that carries a mark."""

    pid: int
    executable: str
    mark: Mark


def read_mark(environment: bytes) -> Mark | None:
    """The mark among the variables of a process, as /proc shows them."""
    prefix = f"{MARK}=".encode()
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            parts = entry.removeprefix(prefix).decode(errors="replace").split(":", 2)
            if len(parts) == 3:
                return Mark(Path(parts[2]), parts[1], parts[0])
    return None


def find(state: Path) -> tuple[Process, ...]:
    """Every process that this cluster's components are, or have started."""
    found = (_look(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return tuple(process for process in found if process and process.mark.state == state)


def running(state: Path, component: Component) -> Process | None:
    """The process of a component; not one that it started, which has the same mark."""
    for process in find(state):
        if process.mark.component == component.name and process.executable == component.argv[0]:
            return process
    return None


def digest(component: Component) -> str:
    """Of everything that a start depends on."""
    said = sha256("\0".join(component.argv).encode())
    for path in component.reads:
        said.update(path.read_bytes())
    return said.hexdigest()[:16]


def start(state: Path, component: Component, log: Path) -> None:
    """Start it, in a session of its own, its output behind what the log has."""
    mark = Mark(state, component.name, digest(component))
    environment = {"PATH": SEARCHED, "HOME": str(state), MARK: str(mark)}
    with log.open("ab") as output:
        process = subprocess.Popen(
            component.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    while process.poll() is None and _look(process.pid) is None:
        time.sleep(0.005)  # the kernel shows the new environment a moment after the start
    process.returncode = 0  # it outlives this command: Python must not complain of that


def end(processes: Iterable[Process], grace_seconds: float) -> None:
    """SIGTERM to all, SIGKILL to those that are still there after the grace."""
    handles = [handle for process in processes for handle in _open(process)]
    try:
        for handle in handles:
            _signal(handle, signal.SIGTERM)
        left = _wait(handles, grace_seconds)
        for handle in left:
            _signal(handle, signal.SIGKILL)
        _wait(left, 10.0)
    finally:
        for handle in handles:
            os.close(handle)


def kill(pid: int) -> None:
    """SIGKILL, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _look(pid: int) -> Process | None:
    try:
        mark = read_mark((PROC / str(pid) / "environ").read_bytes())
        executable = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return None  # it has ended
    return Process(pid, executable.decode(errors="replace"), mark) if mark else None


def _open(process: Process) -> Iterator[int]:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    if _look(process.pid) == process:
        yield handle
    else:
        os.close(handle)


def _signal(handle: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


def _wait(handles: list[int], seconds: float) -> list[int]:
    """Those that have not ended by then."""
    deadline = time.monotonic() + seconds
    left = list(handles)
    with closing(select.epoll()) as watch:
        for handle in left:
            watch.register(handle, select.EPOLLIN)
        while left and (remaining := deadline - time.monotonic()) > 0:
            for ended, _ in watch.poll(remaining):
                watch.unregister(ended)
                left.remove(ended)
    return left
