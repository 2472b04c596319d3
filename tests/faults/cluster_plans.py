"""Fault plans for jobs on a real cluster, as data; drawn from a seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab import ENSEMBLE, SMALL

COUNT: Final = 40
API_SERVER: Final = "api-server"
"""Killed by one plan in eight: nobody else on the cluster is answered meanwhile."""
STORAGE: Final = {
    "artifacts": {
        "storage": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "64Mi"}}
    }
}
"""What a hub has bound outlives its pod."""
JOBS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ensemble": {**ENSEMBLE, **STORAGE, "training.steps": 3000},
    "ring": {
        **SMALL,
        **STORAGE,
        "task": {"type": "Classification", "classification": {"normalization": "BatchNorm"}},
        "islands.count": 3,
        "training": {"steps": 1500, "checkpoint": {"everySeconds": 1}},
        "evaluation": {},
        "strategy": {"type": "IterativeMerge", "iterativeMerge": {"stepsPerRound": 500}},
    },
}
PHASES: Final = ("starting", "dividing", "training", "late", "evaluating")
KINDS: Final = {
    "kill": ("island-0", "island-1", "hub", "router", "merge", "operator"),
    "stop": ("island-0", "island-1", "hub", "operator"),
    "delete-pod": ("island-0", "island-1", "hub", "operator"),
    "delete-job": ("island-1", "router", "merge"),
    "suspend": ("job",),
    "rob": ("lease",),
    "restart": (API_SERVER,),
}
"""Each kind with whom it may happen to. kill: SIGKILL of the process. stop: SIGSTOP, and SIGCONT after the
seconds. delete-pod: at once, without grace. delete-job: the batch Job of a step. suspend: by the user, and
resumed after the seconds. rob: the operator's Lease is deleted. restart: of the API server."""


@dataclass(frozen=True)
class ClusterFault:
    """One thing that happens."""

    kind: str
    target: str
    phase: str
    after: float
    """Seconds after the phase has begun."""
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.target} {self.after:.1f} s after {self.phase}, {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class ClusterPlan:
    """What happens to one job."""

    seed: int
    job: str
    faults: tuple[ClusterFault, ...]

    def __str__(self) -> str:
        return f"{self.job}, seed {self.seed}: {'; '.join(map(str, self.faults))}"


def draw(seed: int) -> ClusterPlan:
    """One or two faults; the same for the same seed."""
    rng = random.Random(f"cluster {seed}")
    job = sorted(JOBS)[seed % len(JOBS)]
    if seed % 8 == 7:
        fault = ClusterFault("restart", API_SERVER, rng.choice(PHASES[1:4]), rng.uniform(0, 3), 0.0)
        return ClusterPlan(seed, job, (fault,))
    drawn = [_draw(rng, job) for _ in range(rng.choice((1, 1, 2)))]
    return ClusterPlan(seed, job, tuple(sorted(drawn, key=lambda it: PHASES.index(it.phase))))


def _draw(rng: random.Random, job: str) -> ClusterFault:
    kind = rng.choice([it for it in sorted(KINDS) if it != "restart"])
    absent = "merge" if job == "ensemble" else "router"
    target = rng.choice([it for it in KINDS[kind] if it != absent])
    phase = rng.choice(PHASES if target in ("hub", "operator", "job", "lease") else PHASES[2:4])
    return ClusterFault(kind, target, phase, rng.uniform(0, 3), rng.uniform(2, 12))
