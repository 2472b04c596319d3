"""Keeps the processes of a peer under measurement: starts them, adds up their CPU, ends them all.

A framework starts processes of its own, which start others; some outlive whoever started them.
This process adopts every orphan among them, so that none is lost from the sum or left behind.
It reads commands from standard input, one JSON list a line, and answers each by one JSON object.
When the input ends, for whatever reason, it kills what is left. It must not know what it keeps.
"""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from commands import Answer, obey

_PR_SET_CHILD_SUBREAPER: Final = 36
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_GRACE_SECONDS: Final = 5.0


def descendants(root: int) -> list[int]:
    """All processes below one, however deep."""
    children: dict[int, list[int]] = {}
    for pid, fields in _processes():
        children.setdefault(int(fields[1]), []).append(pid)
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of all processes below one, those that ended included."""
    below = set(descendants(root))
    # 11 to 14 after the name: utime, stime, and those of children that were waited for
    ticks = sum(sum(map(int, it[11:15])) for pid, it in _processes() if pid in below)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / _TICKS + usage.ru_utime + usage.ru_stime


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Each process and its /proc/PID/stat from the state on."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has just ended
                text = (folder / "stat").read_text()
                yield int(folder.name), text[text.rindex(")") + 2 :].split()


class Keeper:
    """The processes started here, by name."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._codes: dict[int, int] = {}

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: str
    ) -> Answer:
        """Start a process; what it prints goes to the log."""
        with Path(log).open("ab") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environment)
            )
        self._pids[name] = process.pid
        return {"pid": process.pid}

    def state(self) -> Answer:
        """CPU seconds so far, and the exit codes of those that were started and have ended."""
        self._reap()
        ended = {name: self._codes[pid] for name, pid in self._pids.items() if pid in self._codes}
        return {"cpu": cpu_seconds(os.getpid()), "ended": ended}

    def pause(self) -> Answer:
        """Stop all where they are, so that they disturb nothing."""
        return self._all(signal.SIGSTOP)

    def resume(self) -> Answer:
        """Let all go on."""
        return self._all(signal.SIGCONT)

    def end(self) -> None:
        """Ask all to stop, then kill whatever is left, until nothing is."""
        started = time.monotonic()
        self._all(signal.SIGTERM)
        self._all(signal.SIGCONT)  # who is paused hears nothing
        while left := descendants(os.getpid()):
            if time.monotonic() - started > _GRACE_SECONDS:
                for pid in left:
                    _signal(pid, signal.SIGKILL)
            self._reap()
            time.sleep(0.05)

    def _all(self, number: signal.Signals) -> Answer:
        pids = descendants(os.getpid())
        for pid in pids:
            _signal(pid, number)
        return {"processes": len(pids)}

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._codes[pid] = os.waitstatus_to_exitcode(status)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> None:
    """Answer commands until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Heard and not heeded: the end of the input is the end. (Ignored would be inherited.)
        signal.signal(number, lambda *_: None)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    keeper = Keeper()
    try:
        obey(keeper)
    finally:
        keeper.end()


if __name__ == "__main__":
    main()
