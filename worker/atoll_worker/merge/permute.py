"""Permute the units of a network: other weights, the same function.

A permutation p of a group is an int64 tensor (count,): unit i of the result is unit p[i] of what
was there. All functions are pure.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atoll_worker.errors import ContractError
from atoll_worker.tasks.structure import Group, Place, Structure

Permutations = Mapping[str, Tensor]
"""One permutation a group, by the group's name."""


def permute(
    tensors: Mapping[str, Tensor], structure: Structure, permutations: Permutations
) -> dict[str, Tensor]:
    """Put units into another order, in every tensor that follows them.

    Args:
        tensors: a state dict, or tensors named and shaped like its parameters, such as the
            moments of an optimizer. Tensors that no group touches are returned as they are.
        structure: what follows what.
        permutations: one a group; a group without one stays as it is.

    Raises:
        ContractError: a tensor has not the shape that the structure says.
    """
    permuted = dict(tensors)
    for group in structure.groups:
        order_U = permutations.get(group.name)
        if order_U is None:
            continue
        for place in group.places:
            if place.tensor in permuted:
                permuted[place.tensor] = permute_place(permuted[place.tensor], place, order_U)
    return permuted


def permute_place(tensor: Tensor, place: Place, order_U: Tensor) -> Tensor:
    """One axis of one tensor, its units in another order.

    Raises:
        ContractError: the axis has not the length that the structure says.
    """
    length = place.copies * len(order_U) * place.block
    if tensor.dim() <= place.axis or tensor.shape[place.axis] != length:
        raise ContractError(
            f"{place.tensor} has shape {tuple(tensor.shape)}, but the network's structure says "
            f"{length} along axis {place.axis}: the weights are of another network"
        )
    entries = torch.arange(length).reshape(place.copies, len(order_U), place.block)
    return tensor.index_select(place.axis, entries[:, order_U].flatten())


def identity(structure: Structure) -> dict[str, Tensor]:
    """The permutations that change nothing."""
    return {group.name: torch.arange(group.count) for group in structure.groups}


def random_permutations(structure: Structure, generator: torch.Generator) -> dict[str, Tensor]:
    """Permutations drawn uniformly from those that the structure allows."""
    return {group.name: _random(group, generator) for group in structure.groups}


def invert(permutations: Permutations) -> dict[str, Tensor]:
    """What undoes these permutations."""
    return {name: order_U.argsort() for name, order_U in permutations.items()}


def compose(first: Permutations, then: Permutations) -> dict[str, Tensor]:
    """The permutations that do what `first` and after it `then` do."""
    return {name: order_U[then[name]] for name, order_U in first.items()}


def _random(group: Group, generator: torch.Generator) -> Tensor:
    size = group.count // group.clusters
    clusters = torch.randperm(group.clusters, generator=generator)
    inside = [torch.randperm(size, generator=generator) for _ in range(group.clusters)]
    parts = [cluster * size + inner for cluster, inner in zip(clusters, inside, strict=True)]
    return torch.cat(parts)
