"""AdamW gives the bits of torch's class, and its state comes back."""

from typing import get_args

import pytest
import torch
from torch import nn

from atoll_api.spec.training import Optimizer
from atoll_worker.train.optimizer import AdamW, Implementation, learning_rate, make_optimizer

SETTINGS = Optimizer(learning_rate=0.01, weight_decay=0.1)


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def descend(model: nn.Module, optimizer: torch.optim.AdamW | AdamW, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        loss = model(torch.randn(4, 5, generator=generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.slow  # torch.optim.AdamW imports the compiler
@pytest.mark.parametrize("implementation", get_args(Implementation))
def test_the_bits_are_those_of_torchs_class(implementation: Implementation) -> None:
    ours, theirs = make_model(), make_model()
    fused, foreach = implementation == "fused", implementation == "foreach"
    descend(ours, make_optimizer(ours, SETTINGS, implementation), 20)
    reference = torch.optim.AdamW(
        theirs.parameters(), lr=0.01, weight_decay=0.1, fused=fused, foreach=foreach
    )
    descend(theirs, reference, 20)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_parameter_without_gradient_is_left_alone() -> None:
    model = make_model()
    unused = nn.Parameter(torch.ones(2))
    optimizer = AdamW([unused, *model.parameters()], SETTINGS, "fused")
    descend(model, optimizer, 3)
    assert torch.equal(unused, torch.ones(2))
    assert float(optimizer.state()["0/step"]) == 0
    assert float(optimizer.state()["1/step"]) == 3


def test_state_loads_back() -> None:
    model, other = make_model(), make_model()
    optimizer = make_optimizer(model, SETTINGS, "fused")
    descend(model, optimizer, 5)
    fresh = make_optimizer(other, SETTINGS, "fused")
    fresh.load(optimizer.state())
    assert all(torch.equal(fresh.state()[name], t) for name, t in optimizer.state().items())
    with pytest.raises(KeyError):
        fresh.load({})


def test_the_linear_schedule_falls_to_a_twentieth() -> None:
    linear = Optimizer(learning_rate=2.0, schedule="Linear")
    rates = [learning_rate(linear, step, 11) for step in range(11)]
    assert rates[0] == 2.0
    assert rates[5] == pytest.approx(1.05)
    assert rates[10] == pytest.approx(0.1)
    assert learning_rate(linear, 0, 1) == 2.0
    assert learning_rate(Optimizer(learning_rate=2.0), 10, 11) == 2.0
