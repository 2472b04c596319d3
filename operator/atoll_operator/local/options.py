"""How `atoll run` uses this machine."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from atoll_api.spec import TrainingJobSpec
from atoll_operator import progress
from atoll_operator.hearing import HubClient
from atoll_operator.local import processes
from atoll_operator.local.cores import usable_cores
from atoll_operator.local.processes import Start


@dataclass(frozen=True)
class Timing:
    """How patient the runtime is."""

    poll_seconds: float = 0.5
    """Between two questions to the hub."""
    hub_ready_seconds: float = 120.0
    """A hub that does not serve by then is started again."""
    hub_max_restarts: int = 10
    stop_grace_seconds: float = 30.0
    """From SIGTERM to SIGKILL: the time to save a checkpoint."""
    first_backoff_seconds: float = 0.5
    last_backoff_seconds: float = 30.0
    """Restarts wait twice as long each time, up to this."""
    orphan_wait_seconds: float = 40.0
    """How long to wait for the children of a run that was killed."""

    def backoff_seconds(self, restarts: int) -> float:
        """How long to wait before the restart after this many."""
        return min(self.last_backoff_seconds, self.first_backoff_seconds * 2.0 ** min(restarts, 30))


@dataclass(frozen=True)
class LocalOptions:
    """What the user of `atoll run` may choose; nothing here changes a result."""

    base_folder: Path = field(default_factory=Path.cwd)
    """The folder of the job's file: relative data paths and custom tasks are looked up here."""
    parallel: int | None = None
    """Steps that work at once; as many as the cores carry when None."""
    hub_port: int = 0
    """0 lets the system choose."""
    worker_command: tuple[str, ...] = (sys.executable, "-P", "-m", "atoll_worker")
    """Started with the path of a work order, and `--debug`, behind it."""
    debug: bool = False
    """Workers write tracebacks to their logs."""
    metrics: bool = True
    """Whether processes count what they do, and can be scraped."""
    hub_client: HubClient = progress
    timing: Timing = Timing()
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    start: Start = processes.start
    """Of each process that no nursery makes."""

    def arguments(self, order: Path, metrics_file: Path) -> tuple[str, ...]:
        """Of the worker of an order; in the file it says where it can be scraped."""
        metrics = ("--metrics-file", str(metrics_file)) if self.metrics else ()
        debug = ("--debug",) if self.debug else ()
        return (str(order), *metrics, *debug)

    def places(self, spec: TrainingJobSpec) -> int:
        """How many steps work at once; two threads on one core thrash (6x measured).

        Islands that merge wait for each other and for the merge, so all of them have to be there,
        whatever the baseline, which is started before the merge, takes.
        """
        usual = max(1, usable_cores() // spec.islands.threads)
        chosen = usual if self.parallel is None else self.parallel
        together = spec.strategy.type != "ExpertEnsemble"
        needed = spec.islands.count + 1 + int(spec.baseline.enabled)
        return max(chosen, needed) if together else chosen
