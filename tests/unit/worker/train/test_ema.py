"""The moving average is its formula, with the ramp."""

import pytest
import torch
from torch import nn

from atoll_worker.train.ema import Ema, ramped_decay


def test_the_ramp() -> None:
    assert ramped_decay(0.999, 0) == pytest.approx(0.1)
    assert ramped_decay(0.999, 90) == pytest.approx(0.91)
    assert ramped_decay(0.999, 10**6) == 0.999
    assert ramped_decay(0.0, 500) == 0.0


def test_the_average_is_the_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema, expected = Ema(model, 0.5), 0.0
    for step in range(20):
        with torch.no_grad():
            model.weight.fill_(step + 1.0)
        ema.update(step)
        decay = ramped_decay(0.5, step)
        expected = decay * expected + (1 - decay) * (step + 1)
    assert float(ema.state()["weight"]) == pytest.approx(expected, rel=1e-5)


def test_without_decay_it_is_the_model() -> None:
    model = nn.Linear(3, 2)
    ema = Ema(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1)
    ema.update(100)
    assert torch.allclose(ema.state()["weight"], model.weight)
