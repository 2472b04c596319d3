"""Jobs and their pods as a leader sees them: scenes, for tests of what has happened in between."""

from dataclasses import dataclass, field, replace
from typing import Any

from atoll_api import names
from atoll_operator.kubernetes.observing import Scene
from atoll_operator.kubernetes.projection import (
    Ending,
    SeenJob,
    SeenPod,
    project_job,
    project_pod,
)

NAMESPACE, NAME = "team", "digits"


def seen_job(name: str, role: str, **more: Any) -> SeenJob:
    """A Job that goes on."""
    metadata = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}"}
    labels = {names.LABEL_JOB: NAME, names.LABEL_ROLE: role}
    seen = project_job({"metadata": {**metadata, "labels": labels}})
    assert seen is not None
    return replace(seen, **more)


def seen_pod(job: SeenJob, name: str, **more: Any) -> SeenPod:
    """A pod of a Job that waits."""
    metadata = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}"}
    labels = {names.LABEL_JOB: NAME, names.LABEL_ROLE: job.role}
    owner = {"name": job.name, "uid": job.uid, "controller": True}
    seen = project_pod({"metadata": {**metadata, "labels": labels, "ownerReferences": [owner]}})
    assert seen is not None
    return replace(seen, **more)


@dataclass
class Sight:
    """What is there now: change it, and look again."""

    jobs: dict[str, SeenJob] = field(default_factory=dict)
    pods: dict[str, SeenPod] = field(default_factory=dict)

    @property
    def scene(self) -> Scene:
        return Scene(NAME, dict(self.jobs), tuple(self.pods.values()))

    def add(self, role: str, island: int | None = None, **more: Any) -> SeenJob:
        """The Job of a step."""
        step = role if island is None else f"island-{island}"
        job = seen_job(f"{NAME}-{step}", role, island=island, **more)
        self.jobs[job.name] = job
        return job

    def add_islands(self, count: int) -> SeenJob:
        """The one Job of islands that merge."""
        job = seen_job(names.islands_object(NAME), names.ISLAND, count=count)
        self.jobs[job.name] = job
        return job

    def makes(self, job: SeenJob, name: str, at: float, index: int | None = None) -> None:
        """A pod that waits for its container."""
        self.pods[name] = seen_pod(job, name, created_at=at, index=index)

    def runs(self, name: str, at: float) -> None:
        """The container of a pod begins to run."""
        self.pods[name] = replace(self.pods[name], phase="Running", running_since=at)

    def ends(self, name: str, at: float, exit_code: int = 1, **how: Any) -> None:
        """The container of a pod, and the pod, end."""
        pod = self.pods[name]
        ended = {"began_at": pod.running_since, "ended_at": at, "disrupted": False, **how}
        ending = Ending(exit_code, "its last words", **ended)
        phase: Any = "Failed" if exit_code else "Succeeded"
        self.pods[name] = replace(pod, phase=phase, running_since=None, ending=ending)
