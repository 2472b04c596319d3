"""FLOPs are those of the formulas."""

import torch
from torch import nn

from atoll_worker.train.flops import training_flops


def test_linear_layers_cost_what_the_formula_says() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.randn(32, 8)
    forward = 2 * 32 * (8 * 16 + 16 * 4)
    weights = forward
    inputs = 2 * 32 * 16 * 4  # none for the first layer: its input needs no gradient
    assert training_flops(lambda: model(x).mean()) == forward + weights + inputs


def test_a_convolution_is_counted() -> None:
    model = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    forward = 2 * 4 * 6 * 6 * 3 * 5 * 9
    x = torch.randn(4, 3, 6, 6)
    assert training_flops(lambda: model(x).mean()) == 2 * forward


def test_without_matrix_products_nothing_is_counted() -> None:
    scale = nn.Parameter(torch.ones(3))
    assert training_flops((scale * 2).sum) == 0
