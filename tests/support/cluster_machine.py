"""The machine below a test cluster: its processes, to end them, and what its API server was asked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tools.cluster import processes
from tools.cluster.places import Places

CHANGES = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True)
class Request:
    """One that the API server has answered, as its audit log has it."""

    at: float
    """Seconds since the epoch, when it came in."""
    verb: str
    resource: str
    """With its part, where it is about one: `pods/binding`."""
    name: str
    code: int
    user: str
    pod: str
    """Of whoever asked; empty where that was no pod."""

    @property
    def path(self) -> str:
        """What it is about."""
        return f"{self.resource}/{self.name}"

    @property
    def changed(self) -> bool:
        """Whether anything is different after it."""
        return self.verb in CHANGES and self.code < 300


class AuditLog:
    """All that was asked in a namespace from the moment that this is made."""

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._namespace = namespace
        self._from = path.stat().st_size

    def __iter__(self) -> Iterator[Request]:
        with self._path.open() as log:
            log.seek(self._from)
            for line in log:
                if line.endswith("\n") and self._namespace in line:
                    yield from _requests(json.loads(line), self._namespace)

    def first(self, so: Callable[[Request], bool], seconds: float = 60) -> Request:
        """Wait for a request; as soon as there is one that is so, it is here."""
        deadline = time.monotonic() + seconds
        while True:
            for request in self:
                if so(request):
                    return request
            assert time.monotonic() < deadline, "nobody asked for that"
            time.sleep(0.005)


def _requests(event: dict[str, object], namespace: str) -> Iterator[Request]:
    about, user, answer = (_part(event, it) for it in ("objectRef", "user", "responseStatus"))
    if event.get("stage") != "ResponseComplete" or about.get("namespace") != namespace:
        return
    pods = _part(user, "extra").get("authentication.kubernetes.io/pod-name")
    yield Request(
        at=datetime.fromisoformat(str(event["requestReceivedTimestamp"])).timestamp(),
        verb=str(event["verb"]),
        resource="/".join(str(about[it]) for it in ("resource", "subresource") if it in about),
        name=str(about.get("name", "")),
        code=int(str(answer.get("code", 0))),
        user=str(user.get("username", "")),
        pod=str(pods[0]) if isinstance(pods, list) else "",
    )


def _part(event: dict[str, object], name: str) -> dict[str, object]:
    found = event.get(name)
    return found if isinstance(found, dict) else {}


def made(requests: Iterable[Request], job: str) -> Counter[str]:
    """How often each object of a TrainingJob was made. Events tell, and a binding says where: neither counts."""
    return Counter(
        it.path
        for it in requests
        if it.verb == "create" and it.changed and it.resource not in ("events", "pods/binding")
        if it.name.startswith(f"{job}-")
    )


@dataclass(frozen=True)
class Machine:
    """Where all processes of a cluster of one node are."""

    places: Places

    def audit(self, namespace: str) -> AuditLog:
        """What is asked in a namespace from now on."""
        return AuditLog(self.places.audit_log, namespace)

    def processes_of(self, pod_uid: str, program: str) -> list[int]:
        """Those of a pod whose command line names a program."""
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit()
            and pod_uid in _text(folder / "cgroup")
            and program in _text(folder / "cmdline")
        ]

    def signal(self, pids: Iterable[int], number: signal.Signals) -> float:
        """Send it to all of them; when, in seconds since the epoch."""
        at = time.time()
        for pid in pids:
            os.kill(pid, number)
        return at

    def restart_api_server(self) -> float:
        """Kill it, and bring it up again; how many seconds that took."""
        (server,) = (
            it for it in processes.find(self.places.state) if it.mark.component == "kube-apiserver"
        )
        began = time.monotonic()
        processes.kill(server.pid)
        command = [sys.executable, "-m", "tools.cluster", "up", "--state", str(self.places.state)]
        root = Path(processes.__file__).parents[2]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - began


def _text(path: Path) -> str:
    with suppress(OSError):  # it has ended
        return path.read_text(errors="replace")
    return ""
