"""Units are alike when their activations go together (Li et al., arXiv 1511.07543).

Both networks are shown the same inputs; per group the permutation with the greatest sum of
correlations is taken. The activations of a group are what the layers that read it are given, and
its norms. BatchNorm normalises by the statistics of the probe: by those of the data, noise would
drive most units to one side of their activation function (with 5 islands' digits and Gaussian
noise the first average of a BatchNorm CNN had 88 % accuracy so, and 82 % otherwise).

A forward pass of each network, and one product of matrices a layer. No more than the activations
of one part of the probe, thinned out, are in memory.
"""

import copy
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from atoll_worker.errors import ContractError
from atoll_worker.merge.moments import CrossMoments
from atoll_worker.merge.probe import Probe
from atoll_worker.tasks.base import Inputs
from atoll_worker.tasks.structure import Group, Reader, Structure

_MOST_ROWS = 2048
"""Of one layer, for one part of the probe."""
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
        probe: what both are shown, in eval mode but for BatchNorm.

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
    network.eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and len(probe.inputs.x_BD) > 1:
            module.train()
    return network


def _activations(
    network: nn.Module, structure: Structure, probe: Probe, inputs: Inputs
) -> dict[_Key, Tensor]:
    readers = {
        (group.name, index): (group, reader)
        for group in structure.groups
        for index, reader in enumerate(group.readers)
    }
    with _recording(network, readers) as seen, torch.no_grad():
        probe.forward(network, inputs)
    return {key: torch.cat(rows) for key, rows in seen.items()}


@contextmanager
def _recording(
    network: nn.Module, readers: Mapping[_Key, tuple[Group, Reader]]
) -> Iterator[dict[_Key, list[Tensor]]]:
    """What each reader is given while this lasts, call by call, as rows of units."""
    seen: dict[_Key, list[Tensor]] = {key: [] for key in readers}

    def remember(key: _Key, group: Group, reader: Reader) -> torch.utils.hooks.RemovableHandle:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen[key].append(_thinned(_rows(given[0].detach(), group, reader)))

        return network.get_submodule(reader.module).register_forward_pre_hook(hook)

    handles = [remember(key, *reader) for key, reader in readers.items()]
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


def _thinned(rows_NF: Tensor) -> Tensor:
    """At most so many rows, the same ones of every network: pixels and tokens are plenty."""
    if len(rows_NF) <= _MOST_ROWS:
        return rows_NF
    chosen = torch.randperm(len(rows_NF), generator=torch.Generator().manual_seed(0))
    return rows_NF[chosen[:_MOST_ROWS]]


def _similarity(group: Group, moments: Mapping[_Key, CrossMoments]) -> Tensor:
    count = len(group.readers)
    similarities = (_of_units(moments[group.name, at].correlation(), group) for at in range(count))
    mean_UU = functools.reduce(Tensor.add_, similarities) / count
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
