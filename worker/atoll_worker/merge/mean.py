"""The weighted mean of models: model soups (arXiv 2203.05482), FedAvg (arXiv 1602.05629).

sum_k w_k x_k / sum_k w_k, added up in float32 in the order given and rounded once, at the end, to
the type of the first model. So weights need not sum to 1: they are normalised, by one division of
the sum, and equal weights give the plain mean. A tensor that is float64 in the first model is
added up in float64. What is no float (counters, masks) is taken from the first model.

Product and sum are rounded one after the other, never fused: every element has the same bits on
every machine, in whatever pieces a tensor is worked on.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from atoll_worker.errors import BadDataError, ContractError
from atoll_worker.merge.weights import check_weight, check_weights, total_of


def weighted_mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The mean of tensors of one shape, in the type of the first.

    A model of weight 0 is not looked at.

    Raises:
        BadDataError: see `weights.check_weights`.
        ContractError: the shapes differ.
    """
    check_weights(weights, len(tensors))
    first = tensors[0]
    for tensor in tensors:
        if tensor.shape != first.shape:
            shapes = f"{list(tensor.shape)} and {list(first.shape)}"
            raise ContractError(f"tensors of shapes {shapes}: models must be of one architecture")
    if not first.is_floating_point():
        return first.clone()
    dtype = working_dtype(first)
    total = None
    for tensor, weight in zip(tensors, weights, strict=True):
        total = plus(total, tensor, weight, dtype)
    assert total is not None  # a weight that is not 0 was checked for
    return total.div_(total_of(weights)).to(first.dtype)


def working_dtype(first: Tensor) -> torch.dtype:
    """The type that a tensor is added up in, by the first model's."""
    return torch.float64 if first.dtype == torch.float64 else torch.float32


def plus(total: Tensor | None, tensor: Tensor, weight: float, dtype: torch.dtype) -> Tensor | None:
    """The sum so far and one more summand, added in place; None is a sum of nothing."""
    if not weight:
        return total
    part = tensor.to(dtype, copy=True).mul_(weight)
    return part if total is None else total.add_(part)


class Accumulator:
    """The running weighted mean of whole models, given one after the other.

    Holds one sum of the models' size (float32, or float64 where the first model is) and, while it
    adds, one tensor more. Its result has the same bits as `weighted_mean` of each tensor.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] = {}
        """Shapes and types, by empty tensors; and what is no float, whole."""
        self._sums: dict[str, Tensor] = {}
        self._weights: list[float] = []

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> None:
        """Let one more model count; the tensors are not kept and not changed.

        Raises:
            BadDataError: see `weights.check_weight`.
            ContractError: a tensor is missing, too many, or of another shape than before.
        """
        check_weight(weight)
        if self._first:
            self._check(tensors)
        else:
            self._first = {name: _noted(tensor) for name, tensor in tensors.items()}
        self._weights.append(weight)
        for name, first in self._first.items():
            if first.is_floating_point():
                dtype = working_dtype(first)
                total = plus(self._sums.get(name), tensors[name], weight, dtype)
                if total is not None:
                    self._sums[name] = total

    def result(self) -> dict[str, Tensor]:
        """The mean of what was added so far, each tensor in the type of the first model.

        Raises:
            BadDataError: nothing was added, or nothing but weights of 0.
        """
        total = total_of(self._weights)
        if not total:
            raise BadDataError("no model with a weight above 0 was given: nothing to average")
        return {
            name: self._sums[name].div(total).to(first.dtype)
            if first.is_floating_point()
            else first.clone()
            for name, first in self._first.items()
        }

    def _check(self, tensors: Mapping[str, Tensor]) -> None:
        for name in sorted(tensors.keys() ^ self._first.keys()):
            where = "only in the first model" if name in self._first else "not in the first model"
            raise ContractError(f"tensor {name!r} is {where}: models must have the same tensors")
        for name, first in self._first.items():
            if tensors[name].shape != first.shape:
                raise ContractError(
                    f"tensor {name!r} has shape {list(tensors[name].shape)}, in the first model "
                    f"{list(first.shape)}: models must be of one architecture"
                )


def _noted(tensor: Tensor) -> Tensor:
    """What of a first tensor must be remembered: of a float no more than shape and type."""
    if not tensor.is_floating_point():
        return tensor.clone()
    return torch.empty((), dtype=tensor.dtype).expand(tensor.shape)
