"""Units are alike when their activations go together (Li et al., arXiv 1511.07543).

Both networks are shown the same inputs; per group the permutation with the greatest sum of
correlations is taken. The activations of a group are what the layers that read it are given, and
its norms. BatchNorm normalises by the statistics of the probe: by those of the data, noise would
drive most units to one side of their activation function (with 5 islands' digits and Gaussian
noise the first average of a BatchNorm CNN had 88 % accuracy so, and 82 % otherwise).
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from atoll_worker.errors import ContractError
from atoll_worker.merge.moments import CrossMoments
from atoll_worker.merge.norm_statistics import reestimate
from atoll_worker.merge.probe import Probe
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.structure import Group, Reader, Structure

_Key = tuple[str, int]
"""A group, and which of its readers."""


def activation_similarities(
    model: nn.Module,
    structure: Structure,
    reference: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    probe: Probe,
) -> dict[str, Tensor]:
    """How much each unit of the reference goes with each of the other, by group.

    Args:
        model: a network of this architecture; it is copied, not changed.
        structure: its structure.
        reference: weights and buffers.
        other: the same of the other network.
        probe: what both are shown, in eval mode.

    Returns:
        float64 (count, count): the mean correlation over the layers that read the group. For
        heads it is the squared Frobenius norm of the correlations between two heads' outputs,
        divided by a head's width: no basis inside of a head is preferred.

    Raises:
        ContractError: activations are not finite.
    """
    networks = [_loaded(model, tensors, probe) for tensors in (reference, other)]
    moments: dict[_Key, CrossMoments] = {}
    for inputs in probe.chunks():
        ours, theirs = (_activations(it, structure, probe, inputs) for it in networks)
        for key, x_NF in ours.items():
            moments.setdefault(key, CrossMoments()).add(x_NF, theirs[key])
    return {group.name: _similarity(group, moments) for group in structure.groups if group.readers}


def _loaded(model: nn.Module, tensors: Mapping[str, Tensor], probe: Probe) -> nn.Module:
    network = copy.deepcopy(model)
    network.load_state_dict(dict(tensors))
    reestimate(network, probe.chunks(), probe.forward)
    return network.eval()


def _activations(
    network: nn.Module, structure: Structure, probe: Probe, inputs: Inputs
) -> dict[_Key, Tensor]:
    modules = {reader.module for group in structure.groups for reader in group.readers}
    with _recording(network, modules) as seen, torch.no_grad():
        probe.forward(network, inputs)
    return {
        (group.name, index): torch.cat([_rows(x, group, reader) for x in seen[reader.module]])
        for group in structure.groups
        for index, reader in enumerate(group.readers)
    }


@contextmanager
def _recording(network: nn.Module, modules: set[str]) -> Iterator[dict[str, list[Tensor]]]:
    """What each of the modules is given while this lasts, call by call."""
    seen: dict[str, list[Tensor]] = {name: [] for name in modules}

    def remember(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen[name].append(given[0].detach())

        return network.get_submodule(name).register_forward_pre_hook(hook)

    handles = [remember(name) for name in sorted(modules)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _rows(given: Tensor, group: Group, reader: Reader) -> Tensor:
    """An activation as rows (N, count x width), whatever the layer's input looks like."""
    last = given.movedim(reader.axis, -1)
    split = last.reshape(-1, reader.copies, group.count * group.width, reader.spread)
    return split.transpose(2, 3).reshape(-1, group.count * group.width)


def _similarity(group: Group, moments: Mapping[_Key, CrossMoments]) -> Tensor:
    correlations = [moments[group.name, at].correlation() for at in range(len(group.readers))]
    similarities = [_of_units(correlation_FF, group) for correlation_FF in correlations]
    mean_UU = torch.stack(similarities).mean(dim=0)
    if not mean_UU.isfinite().all():
        raise ContractError(
            f"the activations of {group.name} are not finite, so that nothing can be aligned by "
            "them: lower training.optimizer.learningRate"
        )
    return mean_UU


def _of_units(correlation_FF: Tensor, group: Group) -> Tensor:
    if group.width == 1:
        return correlation_FF
    heads, width = group.count, group.width
    blocks = correlation_FF.square().reshape(heads, width, heads, width)
    return blocks.sum(dim=(1, 3)) / width
