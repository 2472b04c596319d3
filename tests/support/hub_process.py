"""A real hub in a process of its own, that a test may kill and start again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from identities import Household

from atoll_api import names, work_order
from atoll_api.hub_order import FolderStore
from atoll_api.names import Process
from atoll_api.work_order import HubOrder, JobIdentity
from atoll_operator.identity import files_of, write
from atoll_telemetry import logs

START_SECONDS = 60.0


class HubProcess:
    """`python -m atoll_worker ORDER.json` for a hub over `folder`."""

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        quota_bytes: int | None = None,
        neighbours: tuple[tuple[int, ...], ...] = (),
    ) -> None:
        self.folder = folder
        self.store = folder / "store"
        self._port = port
        self._quota_bytes = quota_bytes
        self._neighbours = neighbours
        self.household = Household()
        self._process: subprocess.Popen[str] | None = None
        self.address = ""
        self.ready_seconds = 0.0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, prefix: tuple[str, ...] = ()) -> str:
        """Start, and wait until it serves; its address, the same at every start."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        started = time.monotonic()
        process = self.launch(prefix)
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                process.kill()
                raise AssertionError(f"the hub did not start: {finish(process)}")
            time.sleep(0.01)
        self.ready_seconds = time.monotonic() - started
        self.address = str(json.loads(ready.read_text())["address"])
        self._port = int(self.address.rpartition(":")[2])
        return self.address

    def launch(
        self, prefix: tuple[str, ...] = (), *, fresh: bool = True
    ) -> "subprocess.Popen[str]":
        """Start without waiting; `fresh` issues the hub's certificate anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        hub = Process(self.household.job_uid, names.HUB)
        if fresh:
            write([self.household.identity(names.HUB)], self.folder / "identity")
        order = HubOrder(
            job=JobIdentity(name="test", uid=self.household.job_uid),
            step=names.HUB,
            identity=files_of(hub, self.folder / "identity"),
            store=FolderStore(folder=str(self.store)),
            port=self._port,
            quota_bytes=self._quota_bytes,
            neighbours=self._neighbours,
            ready_file=str(self.folder / "ready.json"),
        )
        path = self.folder / "hub.json"
        path.write_text(work_order.dump(order))
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "atoll_worker", str(path)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Nobody reads the pipe before the end.
            env=os.environ | {names.ENV_LIFELINE: "1", logs.ENV_LEVEL: "warning"},
        )
        return self._process

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._end(signal.SIGKILL)

    def terminate(self) -> tuple[int, str]:
        """SIGTERM, and wait; exit code and standard error."""
        return self._end(signal.SIGTERM)

    def cut_lifeline(self) -> tuple[int, str]:
        """Do what the kernel does when a supervisor is killed; exit code and standard error."""
        assert self._process is not None
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        return finish(process)

    def _end(self, number: signal.Signals) -> tuple[int, str]:
        if self._process is None:
            return 0, ""
        process, self._process = self._process, None
        process.send_signal(number)
        return finish(process)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for the end; exit code and standard error. `communicate` would cut the lifeline."""
    code = process.wait(timeout=60)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.close()
    with process.stderr:
        return code, process.stderr.read()
