"""REPAIR: an average of strangers gets the spread of its endpoints back, and nothing more."""

import copy

import pytest
import torch
from networks import classifier, documents, network
from torch import Tensor, nn

from atoll_worker.errors import ContractError
from atoll_worker.merge.probe import Probe
from atoll_worker.merge.repair import Spread, average_spreads, repair, repairable, spreads
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.structure import declared_structure

CASES = {name: network(document) for name, document in documents()}


def probe() -> Probe:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 1, 8, 8, generator=generator, dtype=torch.float64)
    inputs = Inputs(x, x, torch.zeros(300), None)
    return Probe(inputs, lambda model, given: model(given.x_BD))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("MLP-None", ("layers.0", "layers.1")),
        ("CNN-None", ("layers.0", "layers.1", "layers.2")),
        ("CNN-BatchNorm", ()),
        ("CNN-GroupNorm", ()),
        ("ResNet20-None", tuple(f"blocks.{index}.first" for index in range(9))),
        ("GPT", ("blocks.0.mlp.0", "blocks.1.mlp.0")),
        ("Diffusion-MLP-None", ("condition.time.mlp.0", "condition.time.mlp.2")),
    ],
)
def test_layers_that_alone_write_units_without_a_norm_can_be_repaired(
    name: str, layers: tuple[str, ...]
) -> None:
    assert repairable(declared_structure(CASES[name].model)) == layers


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_the_average_gets_the_mean_spread_of_its_endpoints(kind: str) -> None:
    one = CASES[f"{kind}-None"].model
    other = network(dict(documents())[f"{kind}-None"], seed=1).model
    structure, shown = declared_structure(one), probe()
    merged = averaged(one, other)
    goal = average_spreads([spreads(it, structure, shown) for it in (one, other)], [1, 1])
    before, after = (spreads(it, structure, shown) for it in (merged, repair_of(merged, goal)))
    for name, wanted in goal.items():
        assert torch.allclose(after[name].mean_U, wanted.mean_U, atol=1e-9)
        assert torch.allclose(after[name].deviation_U, wanted.deviation_U, atol=1e-9)
        assert before[name].deviation_U.mean() < 0.9 * wanted.deviation_U.mean()


def averaged(one: nn.Module, other: nn.Module) -> nn.Module:
    merged = copy.deepcopy(one)
    theirs = other.state_dict()
    merged.load_state_dict({k: (v + theirs[k]) / 2 for k, v in one.state_dict().items()})
    return merged


def repair_of(model: nn.Module, goal: dict[str, Spread]) -> nn.Module:
    return repair(model, declared_structure(model), goal, probe())


def test_a_network_that_has_its_spread_is_not_changed() -> None:
    model = CASES["CNN-None"].model
    before = copy.deepcopy(model.state_dict())
    own = spreads(model, declared_structure(model), probe())
    repaired = repair_of(model, own).state_dict()
    assert all(torch.allclose(repaired[name], before[name]) for name in before)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


def test_a_constant_unit_is_left_as_it_is() -> None:
    model = copy.deepcopy(CASES["MLP-None"].model)
    with torch.no_grad():
        model.get_parameter("layers.0.weight")[3] = 0
    structure = declared_structure(model)
    own = spreads(model, structure, probe())
    goal = {name: Spread(it.mean_U + 1, it.deviation_U * 2) for name, it in own.items()}
    repaired = repair_of(model, goal)
    bias, was = (it.get_parameter("layers.0.bias") for it in (repaired, model))
    assert bias[3] == was[3]
    assert bias.isfinite().all()
    assert not torch.equal(bias, was)


def test_weights_count_by_their_share() -> None:
    def spread(value: float) -> dict[str, Spread]:
        same: Tensor = torch.full((2,), value, dtype=torch.float64)
        return {"layer": Spread(same, same)}

    mean = average_spreads([spread(1.0), spread(5.0)], [3, 1])["layer"]
    assert mean.mean_U.tolist() == mean.deviation_U.tolist() == [2.0, 2.0]


def test_a_goal_of_another_network_is_refused() -> None:
    model = CASES["MLP-None"].model
    other = network(classifier("MLP", "None", mlp={"width": 24, "depth": 1})).model
    goal = spreads(other, declared_structure(other), probe())
    with pytest.raises(ContractError, match="of another network"):
        repair_of(model, goal)
    own = spreads(model, declared_structure(model), probe())
    with pytest.raises(ContractError, match="different networks"):
        average_spreads([goal, own], [1, 1])
