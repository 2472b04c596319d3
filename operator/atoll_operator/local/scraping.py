"""Who of a run can be scraped now: two files in its folder, which Prometheus reads as they are.

`prometheus --config.file RUN/prometheus/prometheus.yml` works while a run goes on: each process
listens on loopback at a port of the system's choice and says in a file which, as a hub does when it
is ready; here that becomes a target for as long as the process lives.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from atoll_api import names
from atoll_api.names import StepName
from atoll_operator.errors import FolderError
from atoll_operator.local.folder import RunFolder
from atoll_operator.local.processes import Spawned

NAMESPACE: Final = "local"
"""A label that is a Kubernetes namespace on a cluster: no run of this machine is in one."""
_LOOK_SECONDS: Final = 0.05
_CONFIGURATION: Final = """\
# prometheus --config.file THIS_FILE, while the run goes on; the targets stand in the file beside it.
global:
  scrape_interval: 5s
  evaluation_interval: 5s
scrape_configs:
  - job_name: atoll
    honor_labels: false
    file_sd_configs:
      - files: [targets.json]
        refresh_interval: 5s
"""


@dataclass
class Scraping:
    """The targets of one run."""

    folder: RunFolder
    job: str
    """Its name."""
    on: bool
    """Whether processes can be scraped at all."""
    _targets: dict[StepName, dict[str, object]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write the configuration; nobody lives yet.

        Raises:
            FolderError: the folder cannot be written.
        """
        if self.on:
            self.folder.write_scraping("prometheus.yml", _CONFIGURATION)
            self._write()

    def begin(self, step: StepName) -> None:
        """Let no word of a process stand that a new one takes the place of."""
        self.folder.metrics_file(step).unlink(missing_ok=True)

    async def attend(self, step: StepName, process: Spawned) -> None:
        """Have a process among the targets from its word on until this is cancelled.

        A folder that cannot be written costs the targets, not the run.
        """
        if not self.on:
            return
        with contextlib.suppress(FolderError):
            await self._attend(step, process)

    async def _attend(self, step: StepName, process: Spawned) -> None:
        try:
            address = await _address(self.folder.metrics_file(step), process.pid)
            self._targets[step] = {"targets": [address], "labels": self._labels(step)}
            self._write()
            await asyncio.Event().wait()
        finally:
            if self._targets.pop(step, None) is not None:
                self._write()

    def _labels(self, step: StepName) -> dict[str, str]:
        found = names.process_of_step("0", step)
        assert found is not None, "a process is named by its step"
        labels = {"namespace": NAMESPACE, "trainingjob": self.job, "role": found.role}
        return labels | ({"island": str(found.index)} if found.role == names.ISLAND else {})

    def _write(self) -> None:
        listed = [self._targets[step] for step in sorted(self._targets)]
        self.folder.write_scraping("targets.json", json.dumps(listed, indent=2) + "\n")


async def _address(path: Path, pid: int) -> str:
    """What a process says of itself, once it does."""
    while True:
        said = _said(path)
        if said.get("pid") == pid:
            return str(said["address"])
        await asyncio.sleep(_LOOK_SECONDS)


def _said(path: Path) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(path.read_text())  # whole: it came by a rename
    except FileNotFoundError:
        return {}
    return found
