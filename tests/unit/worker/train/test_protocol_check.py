# ruff: noqa: ARG002 (a fake has the signature of what it stands for)
"""What a task broke is named before it is trained with."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atoll_worker.errors import BadTaskError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec
from atoll_worker.train.protocol_check import build_model, try_task

SAMPLE = SampleSpec(shape=(3,), num_classes=0)
BATCH = Batch(torch.zeros(4, 3), None)


class Users:
    """A task whose methods a test can replace."""

    def __init__(self, **replaced: Callable[..., Any]) -> None:
        for name, function in replaced.items():
            setattr(self, name, function)

    def build_model(self, sample: SampleSpec) -> nn.Module:
        return nn.Linear(3, 3)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:
        return Inputs(batch.x_BD, batch.x_BD, torch.zeros(len(batch.x_BD)), None)

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        answer: Tensor = model(inputs.x_BD)
        return answer

    def losses(self, predicted_BD: Tensor, inputs: Inputs) -> Tensor:
        return (predicted_BD - inputs.target_BD).square().mean(dim=1)

    def contract(self) -> Mapping[str, str]:
        return {}


def fails(*_: object) -> None:
    raise ValueError("my mistake\nmore of it")


def test_a_good_task_passes_and_its_model_is_untouched() -> None:
    model = build_model(Users(), SAMPLE, seed=1)
    before = [parameter.clone() for parameter in model.parameters()]
    inputs, flops = try_task(Users(), model, BATCH)
    assert inputs.x_BD.shape == (4, 3)
    assert flops == 2 * (2 * 4 * 3 * 3)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_equal_seeds_build_equal_models() -> None:
    first, same, other = (build_model(Users(), SAMPLE, seed) for seed in (1, 1, 2))
    weights = [next(iter(model.parameters())) for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("returned", [None, nn.Flatten()])
def test_no_model_to_train(returned: object) -> None:
    with pytest.raises(BadTaskError, match=r"build_model: must return an nn.Module with param"):
        build_model(Users(build_model=lambda _: returned), SAMPLE, seed=0)


def test_a_raising_build_model() -> None:
    with pytest.raises(BadTaskError, match=r"build_model: raised ValueError: my mistake$"):
        build_model(Users(build_model=fails), SAMPLE, seed=0)


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"corrupt": fails}, r"raised ValueError: my mistake$"),
        ({"corrupt": lambda b, _: b.x_BD}, "must return Inputs, not Tensor"),
        (
            {"corrupt": lambda b, _: Inputs(b.x_BD[:2], b.x_BD, torch.zeros(4), None)},
            r"x_BD must have shape \(4, 3\), has \(2, 3\)",
        ),
        (
            {"corrupt": lambda b, _: Inputs(b.x_BD, b.x_BD, torch.zeros(()), None)},
            r"time_B must have shape \(4,\), has \(\)",
        ),
        ({"predict": lambda m, i: m(i.x_BD)[:, :2]}, r"prediction must have shape \(4, 3\)"),
        ({"losses": lambda p, _: p.mean()}, r"losses must have shape \(4,\), has \(\)"),
        ({"losses": lambda *_: "low"}, r"losses must have shape \(4,\), has str"),
        ({"losses": lambda p, _: p.detach().mean(dim=1)}, "something detached them"),
    ],
)
def test_what_a_task_broke_is_named(replaced: dict[str, Callable[..., Any]], said: str) -> None:
    task = Users(**replaced)
    with pytest.raises(BadTaskError, match=said):
        try_task(task, build_model(task, SAMPLE, seed=0), BATCH)
