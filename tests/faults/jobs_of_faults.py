"""The jobs that faults happen to: one a strategy, on tiny data, so that computing takes little."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

DATA: Final = "corners.npz"
CLASSES: Final = 4

_CLASSIFIER: Final = {
    "type": "Classification",
    "classification": {
        "architecture": {"type": "MLP", "mlp": {"width": 8}},
        "normalization": "BatchNorm",
    },
}
_DIFFUSION: Final = {
    "type": "Diffusion",
    "diffusion": {"architecture": {"type": "MLP", "mlp": {"width": 8, "depth": 1}}},
}
_ROUTER: Final = {"type": "Learned", "learned": {"steps": 20, "batchSize": 32, "width": 8}}
_FULL: Final = {"topology": {"type": "FullyConnected"}, "stepsPerRound": 10}


def _merging(kind: str, settings: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    field = kind[0].lower() + kind[1:]
    return {"task": _CLASSIFIER, "strategy": {"type": kind, field: dict(settings)}, **spec}


STRATEGIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ensemble": {
        "task": _DIFFUSION,
        "strategy": {"type": "ExpertEnsemble", "expertEnsemble": {"router": _ROUTER}},
        "baseline": {"enabled": True},
    },
    "delta": {
        "task": _DIFFUSION,
        "strategy": {"type": "ExpertEnsemble", "expertEnsemble": {"router": _ROUTER}},
        "exchange": {"encoding": "Delta"},
    },
    "ring": _merging("IterativeMerge", {"topology": {"type": "Ring"}, "stepsPerRound": 10}),
    "deadline": _merging("IterativeMerge", {**_FULL, "roundDeadlineSeconds": 8.0}),
    "apart": _merging("IterativeMerge", {**_FULL, "initialization": "Independent"}),
    "diloco": _merging("IterativeMerge", {**_FULL, "mix": {"type": "OuterNesterov"}}),
    "gossip": _merging(
        "SingleMerge", {"gossip": {"peersPerRound": 0.7, "stepsPerRound": 10}, "evaluations": 1}
    ),
}
"""What makes each job what it is."""


def document(which: str, **spec: Any) -> dict[str, Any]:
    """The TrainingJob of a strategy: three islands, of which two are enough."""
    fields = {
        "data": {"source": f"file://{DATA}"},
        "islands": {"count": 3, "quorum": 2, "maxRestarts": 3},
        "training": {
            "steps": 40,
            "batchSizePerIsland": 16,
            "checkpoint": {"everySeconds": 4},
        },
        **STRATEGIES[which],
        **spec,
    }
    kind = {"apiVersion": "atoll.dev/v1alpha1", "kind": "TrainingJob"}
    return {**kind, "metadata": {"name": f"faults-{which}"}, "spec": fields}


def write_data(folder: Path) -> None:
    """Points (240, 2) around four corners, and which corner."""
    rng = np.random.default_rng(0)
    corners = np.array([[3, 0], [-3, 0], [0, 3], [0, -3]], dtype=np.float32)
    labels = rng.integers(0, CLASSES, 240)
    points = corners[labels] + 0.3 * rng.standard_normal((240, 2))
    np.savez(folder / DATA, x=points.astype(np.float32), y=labels)
