"""REPAIR: give the units of an average the spread that they had (Jordan et al., 2211.08403).

Averaging units that are not perfectly correlated shrinks their activations, more with each layer.
Each unit's output before the activation is scaled and shifted to the mean of the endpoints' means
and the mean of their standard deviations, by its own weights and bias. Networks with BatchNorm
have their statistics measured anew instead (`norm_statistics`), LayerNorm does without.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atoll_worker.errors import ContractError
from atoll_worker.merge.probe import Probe
from atoll_worker.tasks.structure import Group, Structure

_LEAST_DEVIATION = 1e-6
"""A unit that varies less is constant on the probe, and is left as it is."""


@dataclass(frozen=True)
class Spread:
    """What the units of a layer put out on a probe, before the activation."""

    mean_U: Tensor
    deviation_U: Tensor


def repairable(structure: Structure) -> tuple[str, ...]:
    """The layers whose outputs can be scaled by their own weights, in the order declared.

    Those are linear layers and convolutions that alone write a group of single units which no
    norm follows.
    """
    return tuple(group.writers[0] for group in structure.groups if _alone(group))


def spreads(model: nn.Module, structure: Structure, probe: Probe) -> dict[str, Spread]:
    """Mean and standard deviation of every unit of every repairable layer, in eval mode."""
    return {
        name: _spread(outputs)
        for name, outputs in _outputs(model, repairable(structure), probe).items()
    }


def average_spreads(
    each: Sequence[Mapping[str, Spread]], weights: Sequence[float]
) -> dict[str, Spread]:
    """The goal: weighted means of the endpoints' means and of their deviations.

    Raises:
        ContractError: spreads of different networks.
    """
    if any(spread.keys() != each[0].keys() for spread in each):
        raise ContractError("spreads of different networks cannot be averaged: give all one task")
    share_E = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    return {
        name: Spread(
            share_E @ torch.stack([spread[name].mean_U for spread in each]),
            share_E @ torch.stack([spread[name].deviation_U for spread in each]),
        )
        for name in each[0]
    }


def repair(
    model: nn.Module, structure: Structure, goal: Mapping[str, Spread], probe: Probe
) -> nn.Module:
    """A copy of a merged network whose units have the spread of the goal.

    Args:
        model: the average of aligned networks; every repairable layer has a bias.
        structure: of that network. Layers are repaired in the order in which groups are declared,
            which therefore is the order in which they are computed.
        goal: from `average_spreads` of the endpoints.
        probe: what the endpoints were shown.

    Raises:
        ContractError: a goal of another network.
    """
    repaired = copy.deepcopy(model)
    names = repairable(structure)
    if set(names) != goal.keys():
        raise ContractError("the spreads to restore are of another network: give both one task")
    for name in names:
        now = _spread(_outputs(repaired, (name,), probe)[name])
        _rescale(repaired.get_submodule(name), now, goal[name])
    return repaired


def _alone(group: Group) -> bool:
    if len(group.writers) != 1 or group.width != 1:
        return False
    writes = {f"{group.writers[0]}.{kind}" for kind in ("weight", "bias")}
    return {place.tensor for place in group.places if place.axis == 0} == writes


def _outputs(model: nn.Module, names: Sequence[str], probe: Probe) -> dict[str, Tensor]:
    """What each layer puts out, as rows (N, units) in float64."""
    rows: dict[str, list[Tensor]] = {name: [] for name in names}
    network = copy.deepcopy(model).eval()
    for name in names:
        layer = network.get_submodule(name)
        axis = -1 if isinstance(layer, nn.Linear) else 1

        def hook(
            _: nn.Module,
            __: object,
            out: Tensor,
            *,
            into: list[Tensor] = rows[name],
            at: int = axis,
        ) -> None:
            into.append(out.movedim(at, -1).flatten(0, -2).to(torch.float64))

        layer.register_forward_hook(hook)
    with torch.no_grad():
        for inputs in probe.chunks():
            probe.forward(network, inputs)
    return {name: torch.cat(parts) for name, parts in rows.items()}


def _spread(output_NU: Tensor) -> Spread:
    return Spread(output_NU.mean(dim=0), output_NU.std(dim=0, correction=0))


def _rescale(layer: nn.Module, now: Spread, goal: Spread) -> None:
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    varies_U = now.deviation_U > _LEAST_DEVIATION
    scale_U = torch.where(varies_U, goal.deviation_U / now.deviation_U, 1.0)
    shifted_U = (bias.to(torch.float64) - now.mean_U) * scale_U + goal.mean_U
    with torch.no_grad():
        weight.mul_(scale_U.to(weight.dtype).reshape(-1, *[1] * (weight.dim() - 1)))
        bias.copy_(torch.where(varies_U, shifted_U, bias.to(torch.float64)))
