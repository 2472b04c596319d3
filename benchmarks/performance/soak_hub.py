"""The hub's part of a soak: one process, and jobs of islands that come, work, die, and go."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from commands import Answer, Commanded
from hub import Hub
from papers import new_authority, paper
from planted_leaks import VARIABLE

from atoll_api import names
from atoll_operator.identity import Authority
from atoll_operator.local.environment import worker_environment

ISLANDS: Final = 3
NEIGHBOURS: Final = tuple(tuple(j for j in range(ISLANDS) if j != i) for i in range(ISLANDS))
DYING: Final = 1
"""The island that is killed in the middle of an upload, now and then."""
STAND_IN: Final = str(Path(__file__).with_name("soak_hub_stand_in.py"))
VICTIM: Final = str(Path(__file__).with_name("soak_victim.py"))


class HubSoak:
    """One hub, and what is done to it."""

    def __init__(self, hub: Hub, clients: Commanded, authority: Authority, store: Path) -> None:
        self._hub = hub
        self._clients = clients
        self._paper = paper(authority, names.ISLAND, DYING)
        self._store = store

    @property
    def pids(self) -> dict[str, int]:
        """Of the hub, and of the process of all islands."""
        return {"hub": self._hub.pid, "islands": self._clients.pid}

    @property
    def store(self) -> Path:
        """Its folder."""
        return self._store

    def job(self, number: int) -> Answer:
        """One job; how many refs it had bound at its end, and what went wrong."""
        return self._clients("job", self._hub.address, number)

    def kill_one(self, number: int) -> None:
        """An island dies in the middle of an upload."""
        lines = "\n".join(map(json.dumps, (self._paper, [self._hub.address, number]))) + "\n"
        environment = worker_environment(os.environ, 1, ())
        subprocess.run([sys.executable, VICTIM], input=lines, text=True, env=environment)  # noqa: PLW1510 - it ends by SIGKILL

    def exposition_bytes(self) -> int:
        """The size of its metrics, scraped as Prometheus does."""
        url = f"http://127.0.0.1:{self._hub.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            return len(page.read())


@contextmanager
def running_hub() -> Iterator[HubSoak]:
    """A hub over an empty store, and the process of its islands."""
    authority = new_authority()
    leaks = bool(os.environ.get(VARIABLE))
    program = (STAND_IN,) if leaks else ("-P", "-m", "atoll_worker")
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(authority, Path(folder), seen=True, neighbours=NEIGHBOURS, program=program)
        clients = Commanded(
            "soak_hub_clients.py", environment=worker_environment(os.environ, 1, ())
        )
        try:
            clients.write(
                [paper(authority, names.ISLAND, it) for it in range(ISLANDS)]
                + [paper(authority, it) for it in ("evaluate", "merge", names.OPERATOR)]
            )
            yield HubSoak(hub, clients, authority, Path(folder) / "store")
        finally:
            clients.close()
            hub.close()
