"""DiLoCo's outer optimizer beside torch's own."""

import torch

from atoll_api.spec.merging import OuterNesterov
from atoll_worker.merge.outer import outer_step


def test_it_is_torchs_sgd_with_nesterov_momentum() -> None:
    settings = OuterNesterov(learning_rate=0.7, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, generator=generator))
    optimizer = torch.optim.SGD([weight], lr=0.7, momentum=0.9, nesterov=True)
    anchor, momentum = {"w": weight.detach().clone()}, {"w": torch.zeros(5)}
    for _ in range(4):
        mean = {"w": torch.randn(5, generator=generator)}
        weight.grad = anchor["w"] - mean["w"]
        optimizer.step()
        anchor, momentum = outer_step(anchor, momentum, mean, settings)
        torch.testing.assert_close(anchor["w"], weight.detach())


def test_without_momentum_and_at_rate_one_it_is_the_mean() -> None:
    settings = OuterNesterov(learning_rate=1.0, momentum=0.0)
    mean = {"w": torch.tensor([1.0, -2.0])}
    anchor, _ = outer_step({"w": torch.ones(2)}, {"w": torch.ones(2)}, mean, settings)
    torch.testing.assert_close(anchor["w"], mean["w"])
