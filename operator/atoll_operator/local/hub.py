"""The hub as a child of this machine: ready when it says so, always on the same port."""

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from atoll_api import names
from atoll_api.ordering import HubPlace, hub_order
from atoll_api.spec import TrainingJobSpec
from atoll_operator.local.child import Recipe
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.papers import Papers
from atoll_operator.local.processes import Spawned
from atoll_operator.local.scraping import Scraping

LOOK_SECONDS = 0.02


def hub_place(folder: RunFolder, papers: Papers, ready_file: Path, port: int = 0) -> HubPlace:
    """Where the hub of a folder runs; the folder on this machine is its name in a bucket."""
    store = str(folder.store)
    holder = f"{socket.gethostname()}:{store}"
    return HubPlace(store, str(ready_file), papers.files(names.HUB), port=port, holder=holder)


@dataclass
class HubProcess:
    """What the runtime knows of its hub; the process itself is a `ChildProcess`."""

    spec: TrainingJobSpec
    papers: Papers
    folder: RunFolder
    options: LocalOptions
    scraping: Scraping
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    address: str | None = None
    """HOST:PORT, kept over restarts: the workers were told it once."""

    def recipe(self, environment: Mapping[str, str], inherited_fd: int) -> Recipe:
        """How to start it."""
        return Recipe(
            name=names.HUB,
            command=self.options.worker_command,
            arguments=self.options.arguments(
                self.folder.order(names.HUB), self.folder.metrics_file(names.HUB)
            ),
            environment=environment,
            log=self.folder.log(names.HUB),
            max_restarts=self.options.timing.hub_max_restarts,
            inherited_fd=inherited_fd,
            prepare=self._prepare,
            attend=self._attend,
        )

    def _prepare(self) -> None:
        self.folder.hub_ready.unlink(missing_ok=True)
        self.scraping.begin(names.HUB)
        port = int(self.address.rpartition(":")[2]) if self.address else self.options.hub_port
        place = hub_place(self.folder, self.papers, self.folder.hub_ready, port)
        order = hub_order(self.papers.job, self.spec, place)
        self.folder.write_order(names.HUB, order)

    async def _attend(self, process: Spawned) -> None:
        await asyncio.gather(self._await_ready(process), self.scraping.attend(names.HUB, process))

    async def _await_ready(self, process: Spawned) -> None:
        """Wait for the ready file; a hub that does not write it in time is ended."""
        try:
            async with asyncio.timeout(self.options.timing.hub_ready_seconds):
                self.address = await self._ready(process.pid)
        except TimeoutError:
            process.kill()
        self.changed.set()

    async def _ready(self, pid: int) -> str:
        while True:
            if self.folder.hub_ready.exists():
                ready = json.loads(self.folder.hub_ready.read_text())
                if ready["pid"] == pid:
                    return str(ready["address"])
            await asyncio.sleep(LOOK_SECONDS)
