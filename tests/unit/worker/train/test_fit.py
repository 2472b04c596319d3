"""Tensors from elsewhere: exactly the model's, or refused by name."""

import pytest
import torch
from torch import Tensor, nn

from atoll_api.spec.training import Optimizer
from atoll_worker.errors import ContractError, CorruptArtifactError
from atoll_worker.ports import Artifact
from atoll_worker.train.checkpoint import restore, snapshot
from atoll_worker.train.fit import require_fit
from atoll_worker.train.loop import LoopSettings, start_state

MODEL = {"bias": torch.zeros(2), "weight": torch.zeros(2, 3)}
SETTINGS = LoopSettings("island 0", 1, Optimizer(), 0.9, 0, "expert", 0, "fused")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weight": torch.zeros(3, 2)}, "'weight' is float32 [3, 2], the model has float32 [2, 3]"),
        ({"weight": torch.zeros(2, 3).half()}, "is float16 [2, 3], the model has float32 [2, 3]"),
        ({"bias": torch.zeros(1)}, "'bias' is float32 [1], the model has float32 [2]"),
        ({"bias": torch.zeros(2, dtype=torch.int64)}, "'bias' is int64 [2], the model has float32"),
        ({"extra": torch.zeros(())}, "'extra' is float32 [], the model has missing"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Tensor], sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        require_fit(MODEL, MODEL | changes, "experts/2")
    assert str(caught.value).startswith("the weights of experts/2 do not fit the job's model: ")
    assert sentence in str(caught.value)


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ContractError, match="'weight' is missing, the model has float32"):
        require_fit(MODEL, {"bias": MODEL["bias"]}, "router")


def test_what_fits_is_taken() -> None:
    require_fit(MODEL, {name: torch.ones_like(tensor) for name, tensor in MODEL.items()}, "x")


@pytest.mark.parametrize("part", ["model/weight", "ema/bias", "optimizer/0/mean"])
def test_no_part_of_a_checkpoint_is_stretched_or_converted(part: str) -> None:
    whole = snapshot(start_state(nn.Linear(3, 2), SETTINGS))
    for wrong in (whole.tensors[part].double(), torch.zeros(1)):
        damaged = Artifact({**whole.tensors, part: wrong}, whole.metadata)
        name = part.split("/", 1)[1]
        with pytest.raises(CorruptArtifactError, match=f"do not fit .*tensor '{name}' is float"):
            restore(start_state(nn.Linear(3, 2), SETTINGS), damaged)
