"""Put one network's units into the order of another's, so that like is averaged with like."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atoll_api.spec.merging import Align
from atoll_worker.errors import ContractError
from atoll_worker.merge.activation_matching import activation_similarities
from atoll_worker.merge.assignment import assign
from atoll_worker.merge.permute import permute
from atoll_worker.merge.probe import Probe
from atoll_worker.merge.weight_matching import weight_permutations, weight_similarities
from atoll_worker.tasks.structure import Structure, declared_structure
from atoll_worker.train.seeds import derive


@dataclass(frozen=True)
class Match:
    """How alike the units of a group are: correlations, or cosines where weights are matched."""

    group: str
    before: float
    """Mean over units, in the order that they had."""
    after: float
    """Mean over units, in the order of the reference."""


@dataclass(frozen=True)
class Alignment:
    """Another network in the basis of the reference."""

    tensors: dict[str, Tensor]
    """The other's state dict, permuted: the same function as before."""
    permutations: dict[str, Tensor]
    """By group; also for what else follows the weights, such as moments (`permute.permute`)."""
    matches: tuple[Match, ...]


def align(
    model: nn.Module,
    reference: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    settings: Align,
    probe: Probe,
    seed: int,
) -> Alignment:
    """Permute `other` into the basis of `reference`.

    Args:
        model: a network of this architecture; it is neither used up nor changed.
        reference: the state dict whose order is kept.
        other: the state dict that is permuted.
        settings: the method. When to align is for the caller to decide.
        probe: what both are shown; weight matching does not look at it.
        seed: of the job, for the order in which weight matching improves groups.

    Raises:
        BadTaskError: the network declares no structure.
        ContractError: weights of another architecture, or that are not finite.
    """
    structure = declared_structure(model)
    _check(model, reference, "the reference")
    _check(model, other, "the other")
    if settings.type == "WeightMatching":
        found, similarity = _by_weights(model, structure, reference, other, seed)
    else:
        similarity = activation_similarities(model, structure, reference, other, probe)
        clusters = {group.name: group.clusters for group in structure.groups}
        found = {name: assign(it_UU, clusters[name]) for name, it_UU in similarity.items()}
    matches = tuple(_match(name, it_UU, found[name]) for name, it_UU in similarity.items())
    return Alignment(permute(other, structure, found), found, matches)


def _by_weights(
    model: nn.Module,
    structure: Structure,
    reference: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    seed: int,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    names = [name for name, _ in model.named_parameters()]
    ours, theirs = ({name: tensors[name] for name in names} for tensors in (reference, other))
    generator = torch.Generator().manual_seed(derive(seed, "weight-matching"))
    found = weight_permutations(structure, ours, theirs, generator)
    return found, weight_similarities(structure, ours, theirs, found)


def _check(model: nn.Module, tensors: Mapping[str, Tensor], whose: str) -> None:
    expected = model.state_dict()
    if tensors.keys() != expected.keys():
        differing = sorted(tensors.keys() ^ expected.keys())
        raise ContractError(
            f"{whose} network has other tensors than the job's, such as {differing[0]}: "
            "only networks of one architecture can be aligned"
        )
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise ContractError(
                f"{name} of {whose} network has shape {tuple(tensors[name].shape)}, not "
                f"{tuple(tensor.shape)}: only networks of one architecture can be aligned"
            )
        if not tensors[name].isfinite().all():
            raise ContractError(f"{name} of {whose} network is not finite: leave that network out")


def _match(group: str, similarity_UU: Tensor, order_U: Tensor) -> Match:
    rows_U = torch.arange(len(order_U))
    return Match(
        group,
        before=float(similarity_UU.diagonal().mean()),
        after=float(similarity_UU[rows_U, order_U].mean()),
    )
