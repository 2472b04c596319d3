"""Permuted weights are the same function, for every network; anything less is another one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import classifier, documents, network
from torch import Tensor, nn

from atoll_worker.errors import BadTaskError, ContractError
from atoll_worker.merge.permute import compose, identity, invert, permute, random_permutations
from atoll_worker.tasks.structure import (
    Group,
    Layer,
    Structure,
    Units,
    declared_structure,
    structure_of,
)

CASES = {name: network(document) for name, document in documents()}


UNCHANGED = 1e-9
"""Relative, in float64: what rounding leaves is below it, what a wrong place makes above."""


def drawn(structure: Structure, seed: int) -> dict[str, Tensor]:
    return random_permutations(structure, torch.Generator().manual_seed(seed))


def change(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((one - other).abs().max() / one.abs().max())


def places_of(structure: Structure) -> list[tuple[Group, int]]:
    return [(group, at) for group in structure.groups for at in range(len(group.places))]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_permutation_changes_the_weights_and_not_the_function(name: str, seed: int) -> None:
    case = CASES[name]
    structure, tensors = declared_structure(case.model), case.model.state_dict()
    permuted = permute(tensors, structure, drawn(structure, seed))
    assert any(not torch.equal(permuted[key], tensors[key]) for key in tensors)
    assert change(case.answer(tensors), case.answer(permuted)) < UNCHANGED


@pytest.mark.parametrize("name", CASES)
def test_every_place_of_a_structure_is_needed(name: str) -> None:
    case = CASES[name]
    structure, tensors = declared_structure(case.model), case.model.state_dict()
    before = case.answer(tensors)
    for group, at in places_of(structure):
        fewer = replace(group, places=group.places[:at] + group.places[at + 1 :])
        permuted = permute(tensors, Structure((fewer,)), drawn(Structure((group,)), 1))
        assert change(before, case.answer(permuted)) > UNCHANGED, group.places[at]


@pytest.mark.parametrize("kind", ["MLP", "CNN", "ResNet20"])
def test_channels_of_a_group_norm_do_not_cross_its_groups(kind: str) -> None:
    case = CASES[f"{kind}-GroupNorm"]
    structure, tensors = declared_structure(case.model), case.model.state_dict()
    assert all(group.clusters == group.count // 8 for group in structure.groups)
    free = Structure(tuple(replace(group, clusters=1) for group in structure.groups))
    crossed = permute(tensors, free, drawn(free, 0))
    assert change(case.answer(tensors), case.answer(crossed)) > 1e-3


def test_what_permutes_is_undone_by_its_inverse_and_composes() -> None:
    case = CASES["ResNet20-GroupNorm"]
    structure, tensors = declared_structure(case.model), case.model.state_dict()
    first, then = drawn(structure, 1), drawn(structure, 2)
    back = permute(permute(tensors, structure, first), structure, invert(first))
    assert all(torch.equal(back[key], tensors[key]) for key in tensors)
    twice = permute(permute(tensors, structure, first), structure, then)
    at_once = permute(tensors, structure, compose(first, then))
    assert all(torch.equal(twice[key], at_once[key]) for key in tensors)
    same = permute(tensors, structure, identity(structure))
    assert all(torch.equal(same[key], tensors[key]) for key in tensors)


def test_moments_of_an_optimizer_follow_their_parameters() -> None:
    case = CASES["CNN-BatchNorm"]
    structure = declared_structure(case.model)
    permutations = drawn(structure, 3)
    moments = {name: parameter.detach() * 2 for name, parameter in case.model.named_parameters()}
    permuted = permute(moments, structure, permutations)
    weights = permute(case.model.state_dict(), structure, permutations)
    assert permuted.keys() == moments.keys()
    assert all(torch.equal(permuted[name], weights[name] * 2) for name in moments)


def test_every_tensor_of_a_classifier_but_its_last_bias_takes_part() -> None:
    case = CASES["ResNet20-BatchNorm"]
    places = {p.tensor for group in declared_structure(case.model).groups for p in group.places}
    left = {name for name in case.model.state_dict() if not name.endswith("num_batches_tracked")}
    assert left - places == {"leave.bias"}


def test_weights_of_another_network_are_refused() -> None:
    structure = declared_structure(CASES["MLP-None"].model)
    other = network(classifier("MLP", "None", mlp={"width": 32})).model.state_dict()
    with pytest.raises(ContractError, match=r"layers\.0\.weight has shape"):
        permute(other, structure, identity(structure))


class Undeclared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(4, 8), nn.Linear(8, 2)
        self.cell = nn.LSTM(4, 4)


def test_a_network_without_a_structure_is_told_what_to_implement() -> None:
    with pytest.raises(BadTaskError, match=r"Undeclared cannot be aligned.*structure\(\)"):
        declared_structure(Undeclared())


HIDDEN = Units("hidden", 8)


def test_a_parameter_without_a_module_can_be_declared() -> None:
    model = nn.Module()
    model.register_parameter("position", nn.Parameter(torch.zeros(3, 8)))
    (group,) = structure_of(model, [Layer("position", writes=HIDDEN)]).groups
    assert [(place.tensor, place.axis) for place in group.places] == [("position", 1)]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Layer("entre", writes=HIDDEN)], "names 'entre', which it does not have"),
        ([Layer("cell", writes=HIDDEN)], "names 'cell', a LSTM"),
        ([Layer("enter", reads=HIDDEN)], "axis 1 of enter.weight holds 8 entries"),
        (
            [Layer("enter", writes=HIDDEN), Layer("leave", reads=Units("hidden", 4, width=2))],
            "as 8 x 1 and as 4 x 2",
        ),
    ],
)
def test_a_wrong_declaration_says_where(layers: list[Layer], message: str) -> None:
    with pytest.raises(BadTaskError, match=message):
        structure_of(Undeclared(), layers)


@pytest.mark.parametrize(
    ("model", "layer", "message"),
    [
        (nn.Sequential(nn.Conv2d(8, 8, 3, groups=2)), Layer("0", writes=HIDDEN), "grouped"),
        (nn.Sequential(nn.LayerNorm(8)), Layer("0", reads=HIDDEN), "the norm 0 writes"),
        (nn.Sequential(nn.Embedding(3, 8)), Layer("0"), "which units 0.weight writes"),
    ],
)
def test_a_layer_that_cannot_be_declared_so_is_refused(
    model: nn.Module, layer: Layer, message: str
) -> None:
    with pytest.raises(BadTaskError, match=message):
        structure_of(model, [layer])


def test_group_norms_that_disagree_are_refused() -> None:
    model: Any = nn.Sequential(nn.GroupNorm(2, 8), nn.GroupNorm(4, 8))
    with pytest.raises(BadTaskError, match=r"GroupNorms of \[2, 4\] groups"):
        structure_of(model, [Layer("0", writes=HIDDEN), Layer("1", writes=HIDDEN)])
