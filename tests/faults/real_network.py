"""A network of a run's own, of the kernel's: cut, slowed, its connections reset. Needs root.

Whatever runs in it is known to the kernel, and what listens too: nothing that is left can hide.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Self

MTU_BYTES = 1500
"""As of a real line; a bucket of tokens has to hold a packet."""


def possible() -> bool:
    """Whether this user may make networks."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    probe = f"atoll-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return False
    _ip("netns", "del", probe)
    return True


@dataclass
class Network:
    """A loopback that is shared with nobody."""

    name: str
    _slow: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "mtu", str(MTU_BYTES), "up")
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "del", self.name)

    @property
    def prefix(self) -> tuple[str, ...]:
        """Before a command that is to run in it; the command becomes the process."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Let no packet pass."""
        _ip("-n", self.name, "link", "set", "lo", "down")

    def slow(self, rate: str = "200kbit") -> None:
        """Let so much pass."""
        bucket = ("tbf", "rate", rate, "burst", "16kb", "latency", "2s")
        self._run("tc", "qdisc", "add", "dev", "lo", "root", *bucket)
        self._slow = True

    def mend(self) -> None:
        """As it was."""
        if self._slow:
            self._run("tc", "qdisc", "del", "dev", "lo", "root")
            self._slow = False
        _ip("-n", self.name, "link", "set", "lo", "up")

    def reset(self) -> int:
        """End every connection, as a router does that forgot them; how many ends there were."""
        return len(self._run("ss", "-K", "-tnH", "state", "established").splitlines())

    def pids(self) -> list[int]:
        """Whoever is in it."""
        return [int(it) for it in _ip("netns", "pids", self.name).split()]

    def listening(self) -> list[str]:
        """Where somebody listens."""
        return self._run("ss", "-tlnH").splitlines()

    def _run(self, *command: str) -> str:
        return _output((*self.prefix, *command))


def _ip(*arguments: str) -> str:
    return _output(("ip", *arguments))


def _output(command: tuple[str, ...]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
