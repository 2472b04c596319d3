"""Norm statistics: those of the batches shown, and nothing else is changed."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.merge.norm_statistics import (
    average_statistics,
    has_norm_statistics,
    load_statistics,
    norm_statistics,
    reestimate,
)
from atoll_worker.tasks.base import Inputs


def model(momentum: float = 0.1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=momentum), nn.Dropout(0.5), nn.Linear(4, 2)
    )


def inputs(x_BD: Tensor) -> Inputs:
    return Inputs(x_BD, x_BD, torch.zeros(len(x_BD)), None)


def batches(*sizes: int) -> list[Inputs]:
    generator = torch.Generator().manual_seed(1)
    return [inputs(torch.randn(size, 3, generator=generator)) for size in sizes]


def predict(network: nn.Module, given: Inputs) -> Tensor:
    answer: Tensor = network(given.x_BD)
    return answer


def test_statistics_are_the_mean_over_batches() -> None:
    network, shown = model(), batches(16, 16, 16)
    reestimate(network, shown, predict)
    with torch.no_grad():
        hidden = torch.stack([network[0](batch.x_BD) for batch in shown])
    found = norm_statistics(network)
    assert found.keys() == {"1.running_mean", "1.running_var"}
    assert torch.allclose(found["1.running_mean"], hidden.mean(dim=(0, 1)), atol=1e-6)
    assert torch.allclose(found["1.running_var"], hidden.var(dim=1).mean(dim=0), atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_everything_else_is_as_before(training: bool) -> None:  # noqa: FBT001 - a parameter
    network = model(momentum=0.3).train(training)
    network[1].train()
    for batch in batches(8, 8):
        network[1](network[0](batch.x_BD))
    before, modes = copy.deepcopy(network.state_dict()), [m.training for m in network.modules()]
    reestimate(network, batches(16), predict)
    after = network.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"1.running_mean", "1.running_var"}
    assert [m.training for m in network.modules()] == modes
    assert network[1].momentum == 0.3


def test_modes_and_momentum_come_back_after_an_error() -> None:
    network = model(momentum=0.3)

    def fail() -> Iterator[Inputs]:
        yield from batches(4)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        reestimate(network, fail(), predict)
    assert network.training
    assert network[1].momentum == 0.3


def test_single_samples_are_passed_over_and_cannot_be_all() -> None:
    one, other = model(), model()
    reestimate(one, batches(16, 1), predict)
    reestimate(other, batches(16), predict)
    assert all(torch.equal(norm_statistics(other)[k], v) for k, v in norm_statistics(one).items())
    with pytest.raises(BadDataError, match="a batch of at least 2 samples"):
        reestimate(one, batches(1, 1), predict)


def test_a_model_without_statistics_is_not_asked() -> None:
    plain = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    untracked = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False))

    for network in (plain, untracked):
        assert not has_norm_statistics(network)
        assert norm_statistics(network) == {}
        reestimate(network, [], predict)
    assert has_norm_statistics(model())


def test_statistics_of_islands_are_averaged_by_weight_and_put_back() -> None:
    low = {"1.running_mean": torch.zeros(4), "1.running_var": torch.ones(4)}
    high = {"1.running_mean": torch.full((4,), 4.0), "1.running_var": torch.full((4,), 5.0)}
    mean = average_statistics([low, high], [3, 1])
    assert mean["1.running_mean"].tolist() == [1.0] * 4
    assert mean["1.running_var"].tolist() == [2.0] * 4
    network = model()
    load_statistics(network, mean)
    assert all(torch.equal(now, mean[name]) for name, now in norm_statistics(network).items())


@pytest.mark.parametrize("weights", [[], [1.0], [0.0, 0.0], [2.0, -1.0]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    same = norm_statistics(model())
    with pytest.raises(ContractError, match="give each a weight"):
        average_statistics([same, same], weights)


def test_statistics_of_another_network_are_refused() -> None:
    same, other = norm_statistics(model()), {"2.running_mean": torch.zeros(4)}
    with pytest.raises(ContractError, match="different networks"):
        average_statistics([same, other], [1, 1])
    with pytest.raises(ContractError, match="of another network"):
        load_statistics(model(), other)
