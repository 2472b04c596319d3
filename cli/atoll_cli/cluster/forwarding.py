"""A port of this machine that leads to a Service of a cluster, for as long as it is needed."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll_cli.cluster.kubectl import Kubectl, reason
from atoll_cli.errors import CliError

START_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02
_ENDING_SECONDS: Final = 5.0
_OPEN: Final = re.compile(r"^Forwarding from (127\.0\.0\.1:\d+) ->", re.MULTILINE)


@dataclass(frozen=True)
class Forward:
    """A port that is open."""

    address: str
    """HOST:PORT on this machine."""
    log: Path
    process: "subprocess.Popen[bytes]"

    def ended(self) -> str | None:
        """Why it leads nowhere any more; None while it does."""
        return None if self.process.poll() is None else reason(self.log.read_text())


@contextmanager
def forwarded(kubectl: Kubectl, service: str, port: int) -> Iterator[Forward]:
    """A free port that leads to that one of a Service until the block ends.

    Raises:
        CliError: kubectl did not open it.
    """
    command = kubectl.held(
        "port-forward", f"service/{service}", f":{port}", "--address=127.0.0.1",
        f"--pod-running-timeout={START_SECONDS:.0f}s",
    )  # fmt: skip
    environment = {**os.environ, **kubectl.environment}
    with tempfile.TemporaryDirectory(prefix="atoll-") as folder:
        log = Path(folder) / "kubectl.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment
            )
        try:
            yield Forward(_address(process, log, service), log, process)
        finally:
            _end(process)


def _address(process: "subprocess.Popen[bytes]", log: Path, service: str) -> str:
    deadline = time.monotonic() + START_SECONDS + _ENDING_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if found := _OPEN.search(log.read_text()):
            return found[1]
        if ended:
            break
        time.sleep(_LOOK_SECONDS)
    raise CliError(f"kubectl opens no port to {service}: {reason(log.read_text())}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let go of the lifeline; it takes kubectl with it."""
    assert process.stdin is not None  # it was started with a pipe
    process.stdin.close()
    try:
        process.wait(_ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
