"""Units are alike when their weights are: Git Re-Basin, algorithm 1 (arXiv 2209.04836).

Maximises the inner product of the reference's parameters with the other's, permuted. That is a
sum of bilinear assignments, NP-hard: groups are improved one at a time, in a seeded order, until
none improves. No data and no forward pass.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atoll_worker.merge.assignment import assign
from atoll_worker.merge.permute import identity, permute_place
from atoll_worker.tasks.structure import Group, Place, Structure

_MOST_SWEEPS = 100
_TOLERANCE = 1e-12


def weight_permutations(
    structure: Structure,
    reference: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Permutations that bring `other` closest to `reference`, group by group.

    Args:
        structure: of both networks.
        reference: parameters; buffers are no weights and do not belong here.
        other: the same of the other network.
        generator: decides on the order of the groups.
    """
    permutations = identity(structure)
    pair = _Pair(structure, reference, other)
    for _ in range(_MOST_SWEEPS):
        improved = False
        for index in torch.randperm(len(structure.groups), generator=generator).tolist():
            group = structure.groups[index]
            products_UU = pair.products(group, permutations)
            before_U, after_U = permutations[group.name], assign(products_UU, group.clusters)
            if _total(products_UU, after_U) - _total(products_UU, before_U) > _TOLERANCE:
                permutations[group.name], improved = after_U, True
        if not improved:
            break
    return permutations


def weight_similarities(
    structure: Structure,
    reference: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    permutations: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Cosines (count, count) between the weights of units, other groups being permuted."""
    pair = _Pair(structure, reference, other)
    return {group.name: pair.cosines(group, permutations) for group in structure.groups}


class _Pair:
    """Two sets of parameters, and the weights of each unit as one row."""

    def __init__(
        self, structure: Structure, reference: Mapping[str, Tensor], other: Mapping[str, Tensor]
    ) -> None:
        self._reference = {name: t.detach().to(torch.float64) for name, t in reference.items()}
        self._other = {name: t.detach().to(torch.float64) for name, t in other.items()}
        self._places: dict[str, list[tuple[Group, Place]]] = {}
        for group in structure.groups:
            for place in group.places:
                self._places.setdefault(place.tensor, []).append((group, place))

    def products(self, group: Group, permutations: Mapping[str, Tensor]) -> Tensor:
        """Inner products (count, count) of units' weights."""
        ours_UF, theirs_UF = self._rows(group, permutations)
        return ours_UF @ theirs_UF.T

    def cosines(self, group: Group, permutations: Mapping[str, Tensor]) -> Tensor:
        """The same, divided by lengths."""
        normed = [torch.nn.functional.normalize(it) for it in self._rows(group, permutations)]
        return normed[0] @ normed[1].T

    def _rows(self, group: Group, permutations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        ours, theirs = [], []
        for place in group.places:
            if place.tensor in self._reference:
                ours.append(_units_first(self._reference[place.tensor], place, group))
                moved = self._permuted_elsewhere(place, permutations)
                theirs.append(_units_first(moved, place, group))
        return torch.cat(ours, dim=1), torch.cat(theirs, dim=1)

    def _permuted_elsewhere(self, place: Place, permutations: Mapping[str, Tensor]) -> Tensor:
        """The other's tensor with all its axes permuted but this one."""
        tensor = self._other[place.tensor]
        for group, elsewhere in self._places[place.tensor]:
            if elsewhere.axis != place.axis:
                tensor = permute_place(tensor, elsewhere, permutations[group.name])
        return tensor


def _units_first(tensor: Tensor, place: Place, group: Group) -> Tensor:
    """(count, all that belongs to a unit)."""
    along = tensor.movedim(place.axis, 0)
    split = along.reshape(place.copies, group.count, place.block, -1)
    return split.transpose(0, 1).reshape(group.count, -1)


def _total(products_UU: Tensor, order_U: Tensor) -> float:
    return float(products_UU[torch.arange(len(order_U)), order_U].sum())
