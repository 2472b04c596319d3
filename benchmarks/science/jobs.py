"""Run one job through the pipeline's own roles, in this process, with artifacts in memory.

Islands that exchange weights are threads that take turns: results do not depend on who is fast.
"""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from atoll_api import names
from atoll_api.ordering import Place, work_order
from atoll_api.spec import TrainingJob, TrainingJobSpec
from atoll_api.work_order import JobIdentity, WorkOrder
from atoll_operator.plan.model import Step
from atoll_operator.plan.pipeline import pipeline
from atoll_worker.exchange.memory import (
    MemoryArtifacts,
    MemoryCircle,
    MemoryProgress,
    MemoryStop,
)
from atoll_worker.ports import Context, ProgressReport

TOGETHER = ("island", "merge")
"""Roles that wait for each other where a strategy merges."""


@dataclass(frozen=True)
class Finished:
    """What a job left."""

    findings: dict[str, Any]
    artifacts: MemoryArtifacts
    cpu_seconds: float

    def system(self, name: str) -> dict[str, Any]:
        """The scores of one system."""
        found: dict[str, Any] = next(it for it in self.findings["systems"] if it["name"] == name)
        return found


def document(name: str, **spec: Any) -> dict[str, Any]:
    """A TrainingJob, as a user would write it."""
    kind = {"apiVersion": "atoll.dev/v1alpha1", "kind": "TrainingJob"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def run_job(job: dict[str, Any], artifacts: MemoryArtifacts | None = None) -> Finished:
    """Run a job to its report. Rules that join fields are not applied: controls break them.

    Args:
        job: the TrainingJob.
        artifacts: of an earlier job, whose steps need not be done again; only scoring is.
    """
    parsed = TrainingJob.from_document(job)
    artifacts = MemoryArtifacts() if artifacts is None else artifacts
    artifacts.drop([names.REPORT_REF])
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        world = _World(parsed, artifacts, Place(hub="127.0.0.1:1", report_folder=folder))
        steps = pipeline(parsed.spec)
        merges = parsed.spec.strategy.type != "ExpertEnsemble"
        together = [step for step in steps if merges and step.role in TOGETHER]
        for step in steps:
            if step not in together:
                world.run(step)
            elif step is together[0]:
                world.run_together(together)
        report = json.loads((Path(folder) / "report.json").read_text())
    return Finished(report["findings"], artifacts, time.process_time() - start)


class _World:
    """A job's steps, run here."""

    def __init__(self, job: TrainingJob, artifacts: MemoryArtifacts, place: Place) -> None:
        self._job = job
        self._artifacts = artifacts
        self._place = place
        self._reports: dict[str, ProgressReport] = {}

    def run(self, step: Step) -> None:
        progress = MemoryProgress(step.name, self._reports)
        role(step.role)(self._order(step), Context(self._artifacts, progress, MemoryStop()))

    def run_together(self, steps: Sequence[Step]) -> None:
        circle, failures = MemoryCircle(self._artifacts), list[BaseException]()

        def one(step: Step) -> None:
            try:
                with circle.working() as around:
                    context = Context(
                        self._artifacts,
                        MemoryProgress(step.name, self._reports),
                        MemoryStop(),
                        neighbourhood=around,
                        onlooker=around,
                    )
                    role(step.role)(self._order(step), context)
            except BaseException as error:  # noqa: BLE001 - raised below, on the main thread
                failures.append(error)

        threads = [threading.Thread(target=one, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _order(self, step: Step) -> WorkOrder:
        identity = JobIdentity(name=self._job.metadata.name, uid="0")
        return work_order(identity, self._spec, step.process(identity.uid), self._place)

    @property
    def _spec(self) -> TrainingJobSpec:
        return self._job.spec


def role(name: str) -> Callable[[Any, Any], None]:
    """The function of a role."""
    run: Callable[[Any, Any], None] = import_module(f"atoll_worker.roles.{name}").run
    return run
