"""A checkpoint that says what no run has written is none."""

import pytest
import torch
from torch import nn

from atoll_api.spec.training import Optimizer
from atoll_worker.errors import CorruptArtifactError
from atoll_worker.ports import Artifact
from atoll_worker.train.checkpoint import restore, snapshot
from atoll_worker.train.loop import LoopSettings, TrainingState, start_state

SETTINGS = LoopSettings(
    name="island 0", steps=1, optimizer=Optimizer(), ema_decay=0.9, seed=0, purpose="island"
)


def fresh() -> TrainingState:
    return start_state(nn.Linear(2, 1), SETTINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": -1},
        {"step": True},
        {"rounds": 10**400},
        {"lossCurve": [[1, 10**400]]},
        {"lossSum": 10**400},
        {"lossCurve": 7},
        {"untold": [{"round": 0}]},
        {"untold": [{"round": -1}]},
        {"untold": ["0"]},
        {"untold": {}},
    ],
    ids=lambda it: str(it)[:40],
)
def test_numbers_that_are_none_of_ours(changes: dict[str, object]) -> None:
    torch.manual_seed(0)
    whole = snapshot(fresh())
    restore(fresh(), whole)
    with pytest.raises(CorruptArtifactError, match="does not fit the model"):
        restore(fresh(), Artifact(whole.tensors, {**whole.metadata, **changes}))  # type: ignore[dict-item]
