"""Where one run under faults takes place: its folder, its network, its processes; looked at all along."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import held_tasks
import real_network
import real_world as world
from atoll_runs import PATIENCE_SECONDS, Run, children_of
from held_tasks import HeldClassifier, HeldDiffusion, Hold
from jobs_of_faults import STRATEGIES, document
from plans import FaultPlan
from real_network import Network
from real_plans import HELD, ISLANDS, MERGING, STEPS
from real_world import Individual

LOOK_SECONDS: Final = 0.02
CENSUS_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 60.0
_BRIEF: Final = {"samples": 16, "seeds": 1, "samplerSteps": 4, "strategies": ["Full"]}


class Stage:
    """One run, started as often as it takes."""

    run: Run

    def __init__(self, plan: FaultPlan, place: Path, data: Path) -> None:
        self.plan = plan
        self.place = place
        self.data = data
        self.job = place / "job.yaml"
        self.folder = place / "run"
        self.network: Network | None = None
        self.endings: list[tuple[int, str]] = []
        """Exit code and output of each `atoll run`."""
        self.named: dict[str, set[str]] = {}
        """Every digest that a status has named, by artifact."""
        self.removed: set[str] = set()
        self.seconds_to_continue: float | None = None
        self._hold: Hold | None = None
        self._watched: tuple[str, object, float] | None = None
        self._known: set[Individual] = set()
        self._census_at = 0.0
        self._after = ExitStack()

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True)
        self.job.write_text(json.dumps(self._document()))
        if self.plan.has("full"):
            self._after.enter_context(world.small_disk(self.folder))
        if real_network.possible():
            name = f"atoll-{os.getpid()}-{self.plan.seed}-{self.place.name[-8:]}"
            self.network = self._after.enter_context(Network(name))
        for fault in self.plan.faults:
            if fault.at.point in HELD:
                assert self._hold is None, "a plan holds one island"
                self._hold = Hold(self.place, fault.at.step, fault.at.count)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        if self.run.process.poll() is None:
            world.tell(self.run.process.pid, signal.SIGKILL)
            self.run.finish()
        for pid in children_of(self.folder):
            world.tell(pid, signal.SIGKILL)
        self.settle()
        self._after.close()

    def start(self) -> None:
        """`atoll run`, for the first time or again."""
        prefix = self.network.prefix if self.network else ()
        self.run = Run.start(self.job, self.folder, prefix)

    def end(self) -> tuple[int, str]:
        """Look on until the run has ended: exit code and output."""
        self.wait(bool)
        assert self.run.process.poll() is not None, self._not_over()
        self.endings.append(self.run.finish())
        return self.endings[-1]

    def elsewhere(self) -> None:
        """Begin anew in another folder, as a message has said."""
        self.folder = self.folder.with_name(f"{self.folder.name}-anew")
        self.named.clear()

    def wait(self, reached: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
        """Until it is so, for so long, or until the run has ended; whether it is so."""
        until = time.monotonic() + seconds
        while not reached():
            self._look()
            if self.run.process.poll() is not None or time.monotonic() > until:
                return reached()
            time.sleep(LOOK_SECONDS)
        return True

    def pause(self, seconds: float) -> None:
        """Look on for so long."""
        self.wait(bool, seconds)

    @property
    def held(self) -> bool:
        """Whether the island that is to be held waits."""
        return self._hold is not None and self._hold.reached()

    def release(self) -> None:
        """Let it go on; again is no harm."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def watch(self, target: str) -> None:
        """Take the time until this process is seen to do something."""
        self.seconds_to_continue = None
        self._watched = (target, world.traces(self.folder, target), time.monotonic())

    def pids_of(self, target: str) -> list[int]:
        """The processes of a target, once there are any or it is clear that there are none."""
        self.wait(lambda: bool(self._pids(target)), 5.0)
        return self._pids(target)

    def settle(self) -> None:
        """Wait for what the end of a run takes along with it."""
        until = time.monotonic() + SETTLED_SECONDS
        while self.left() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def left(self) -> list[str]:
        """Processes of this run that live."""
        self._census()
        return [str(it) for it in sorted(self._known) if it.lives()]

    def _document(self) -> dict[str, Any]:
        task: Mapping[str, Any] = STRATEGIES[self.plan.strategy]["task"]
        held = HeldClassifier if task["type"] == "Classification" else HeldDiffusion
        spec = held_tasks.spec(held, self.place, task[task["type"].lower()])
        merging = self.plan.strategy in MERGING
        budget = 0 if self.plan.has("doom") else 3
        return document(
            self.plan.strategy,
            task=spec,
            data={"source": f"file://{self.data}"},
            islands={"count": ISLANDS, "quorum": ISLANDS - 1, "maxRestarts": budget},
            training={
                "steps": STEPS,
                "batchSizePerIsland": 16,
                "checkpoint": {"everySeconds": 1},
            },
            evaluation={} if merging else _BRIEF,
        )

    def _not_over(self) -> str:
        """What is worth reading of a run that should have ended by now."""
        logs = sorted((self.folder / "logs").glob("*.log"))
        tails = (f"{it.name}:\n" + "\n".join(it.read_text().splitlines()[-20:]) for it in logs)
        told = f"{self.plan}: not over after {PATIENCE_SECONDS} s: {json.dumps(self.run.status())}"
        return "\n".join([told, *tails])

    def _pids(self, target: str) -> list[int]:
        return world.pids_of(target, self.run.process.pid, self.folder)

    def _look(self) -> None:
        now = time.monotonic()
        for it in _artifacts(self.run):
            self.named.setdefault(it["name"], set()).add(it["digest"])
        if self._watched is not None and self.seconds_to_continue is None:
            target, before, began = self._watched
            if world.traces(self.folder, target) != before:
                self.seconds_to_continue = now - began
        if now >= self._census_at:
            self._census()
            self._census_at = now + CENSUS_SECONDS

    def _census(self) -> None:
        found = {*world.below(self.run.process.pid), *children_of(self.place)}
        found.update(self.network.pids() if self.network else ())
        self._known |= {Individual.of(it) for it in found}


def _artifacts(run: Run) -> list[dict[str, str]]:
    """What the status names now; nothing where it cannot be read."""
    try:
        found: list[dict[str, str]] = run.status().get("artifacts", [])
    except ValueError:  # damaged, on purpose
        return []
    return found
