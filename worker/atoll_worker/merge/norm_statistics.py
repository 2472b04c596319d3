"""Running statistics of BatchNorm: those of a merged network are not the merge of its parts'.

An averaged network has other activations than the networks it was made of. Each island measures
them on its own data and the measurements are averaged, so that no data leave (Izmailov et al.,
arXiv 1803.05407, section 3.2, measure them on all data).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.tasks.base import Inputs

_STATISTICS = ("running_mean", "running_var")


def has_norm_statistics(model: nn.Module) -> bool:
    """Whether any layer normalises by statistics of the data that it has seen."""
    return bool(_norms(model))


def norm_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the running means and variances, named as in the state dict."""
    return {
        f"{name}.{kind}": getattr(norm, kind).clone()
        for name, norm in _norms(model).items()
        for kind in _STATISTICS
    }


def reestimate(
    model: nn.Module, batches: Iterable[Inputs], forward: Callable[[nn.Module, Inputs], object]
) -> None:
    """Replace the running statistics of a model by the mean over some batches, in place.

    Only BatchNorm is in training mode meanwhile: dropout is off. Modes, momenta and the counts of
    batches are afterwards as they were. A batch of one sample is passed over, it has no variance.

    Args:
        model: whose statistics are replaced; without BatchNorm nothing happens.
        batches: inputs of training, all about equally long.
        forward: `predict` of the task.

    Raises:
        BadDataError: no batch had two samples.
    """
    if not has_norm_statistics(model):
        return
    seen = 0
    with _measuring(model), torch.no_grad():
        for inputs in batches:
            if len(inputs.x_BD) > 1:
                forward(model, inputs)
                seen += 1
    if not seen:
        raise BadDataError(
            "the statistics of BatchNorm need a batch of at least 2 samples: give the island more "
            "samples, raise training.batchSizePerIsland, or set normStatistics: Average"
        )


def average_statistics(
    statistics: Sequence[Mapping[str, Tensor]], weights: Sequence[float]
) -> dict[str, Tensor]:
    """The weighted mean of what several islands measured on the same network.

    Variances are averaged as they are: with the variance between the islands' means added, digits
    on 8 islands with Dirichlet 0.1 were recognised no better (93.0 % against 93.1, and 85.6 with
    the statistics of one island).

    Args:
        statistics: of each island, as `norm_statistics` gives them.
        weights: one an island; they are divided by their sum.

    Raises:
        ContractError: nothing to average, weights that do not fit or have no positive sum, or
            statistics of different networks.
    """
    if not statistics or len(statistics) != len(weights) or sum(weights) <= 0 or min(weights) < 0:
        raise ContractError(
            f"{len(statistics)} norm statistics cannot be averaged with the weights "
            f"{list(weights)}: give each a weight of at least 0, and not only zeros"
        )
    names = statistics[0].keys()
    if any(each.keys() != names for each in statistics):
        raise ContractError(
            "norm statistics of different networks cannot be averaged: give all islands one task"
        )
    return {name: _mean([each[name] for each in statistics], weights) for name in names}


def load_statistics(model: nn.Module, statistics: Mapping[str, Tensor]) -> None:
    """Put statistics into a model, in place.

    Raises:
        ContractError: they are of another network.
    """
    own = {
        f"{name}.{kind}": getattr(norm, kind)
        for name, norm in _norms(model).items()
        for kind in _STATISTICS
    }
    shapes = {name: tensor.shape for name, tensor in statistics.items()}
    if shapes != {name: tensor.shape for name, tensor in own.items()}:
        raise ContractError("these norm statistics are of another network: give both one task")
    for name, tensor in own.items():
        tensor.copy_(statistics[name])


def _norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


@contextmanager
def _measuring(model: nn.Module) -> Iterator[None]:
    """While this lasts, BatchNorm averages the statistics of all batches, from none."""
    norms = list(_norms(model).values())
    modes = [(module, module.training) for module in model.modules()]
    kept = [(norm, norm.momentum, _count_of(norm)) for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for norm, momentum, count in kept:
            norm.momentum = momentum
            _tracked(norm).copy_(count)


def _tracked(norm: _BatchNorm) -> Tensor:
    assert norm.num_batches_tracked is not None
    return norm.num_batches_tracked


def _count_of(norm: _BatchNorm) -> Tensor:
    return _tracked(norm).clone()


def _mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = torch.zeros_like(tensors[0])
    for tensor, weight in zip(tensors, weights, strict=True):
        total += tensor * (weight / sum(weights))
    return total
