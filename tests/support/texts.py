"""A small job of text, its roles run one after another in this process over a hub in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from atoll_api.ordering import Place, work_order
from atoll_api.spec import TrainingJob, TrainingJobSpec
from atoll_api.work_order import JobIdentity, WorkOrder
from atoll_operator.plan.model import Step
from atoll_operator.plan.pipeline import pipeline
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.ports import Context, ProgressReport

CONTEXT, PREFIX = 32, 12
TOPICS = (
    ("apple", "pear", "plum", "cherry", "grape", "melon"),
    ("HAMMER", "SAW", "DRILL", "WRENCH", "PLIERS", "CHISEL"),
)


def write_corpus(folder: Path, words: int = 3000) -> Path:
    """A folder with a text file a topic."""
    generator = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for number, topic in enumerate(TOPICS):
        drawn = generator.choice(topic, words)
        (folder / f"{number}.txt").write_text(" ".join(drawn))
    return folder


def text_document(corpus: Path, **spec: Any) -> dict[str, Any]:
    """A job of two islands and few steps; `spec` replaces whole fields."""
    gpt = {"layers": 1, "width": 16, "heads": 2, "context": CONTEXT}
    said = {
        "task": {"type": "Language", "language": {"architecture": {"type": "GPT", "gpt": gpt}}},
        "data": {"source": f"file://{corpus}"},
        "islands": {"count": 2},
        "training": {"steps": 20, "batchSizePerIsland": 16, "ema": {"decay": 0.9}},
        "strategy": {"type": "ExpertEnsemble", "expertEnsemble": ensemble()},
        "baseline": {"enabled": True},
        **spec,
    }
    return {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "texts"},
        "spec": said,
    }


def ensemble(router: str = "Centroid", seed_steps: int = 10, **settings: Any) -> dict[str, Any]:
    """`strategy.expertEnsemble` with a short prefix."""
    chosen = {"type": router, router.lower(): {"prefix": PREFIX, **settings}}
    return {"seedSteps": seed_steps, "router": chosen}


@dataclass
class TextJob:
    """The steps of a job of text, and the hub that they share."""

    spec: TrainingJobSpec
    report_folder: Path
    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)
    reports: dict[str, ProgressReport] = field(default_factory=dict)

    @classmethod
    def of(cls, document: dict[str, Any], report_folder: Path) -> "TextJob":
        """A job as its user wrote it."""
        return cls(TrainingJob.from_document(document).spec, report_folder)

    def order(self, name: str) -> WorkOrder:
        """What one step is told."""
        place = Place(hub="127.0.0.1:1", report_folder=str(self.report_folder))
        identity, process = JobIdentity(name="texts", uid="0"), self._step(name).process("0")
        return work_order(identity, self.spec, process, place)

    def run(self, *steps: str) -> None:
        """Run steps, or all of them."""
        for name in steps or self.names():
            order = self.order(name)
            context = Context(self.artifacts, MemoryProgress(name, self.reports), MemoryStop())
            # By name: roles are entry points that only a process's main may import.
            import_module(f"atoll_worker.roles.{order.role}").run(order, context)

    def names(self) -> Sequence[str]:
        """The steps in their order."""
        return [step.name for step in pipeline(self.spec)]

    def _step(self, name: str) -> Step:
        (step,) = (step for step in pipeline(self.spec) if step.name == name)
        return step
