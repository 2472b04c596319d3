"""Whether tensors that came from elsewhere are those that a model has: names, types, shapes.

torch's own copying converts types and stretches shapes without a word.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atoll_worker.errors import ContractError


def require_fit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str) -> None:
    """Refuse tensors that are not exactly those of a model.

    Args:
        expected: the model's own, by name.
        given: what shall replace them.
        source: where they came from, such as `experts/2`.

    Raises:
        ContractError: naming the first that is missing, unknown, or of another type or shape.
    """
    for name in sorted(expected.keys() | given.keys()):
        mine, theirs = _described(expected.get(name)), _described(given.get(name))
        if mine != theirs:
            raise ContractError(
                f"the weights of {source} do not fit the job's model: tensor {name!r} is {theirs}, "
                f"the model has {mine}; start a new job"
            )


def require_finite_weights(given: Mapping[str, Tensor], source: str) -> None:
    """Refuse tensors that would spoil every mean that they are a part of.

    Raises:
        ContractError: naming the first that has NaN or infinite values.
    """
    for name, tensor in given.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ContractError(f"the weights of {source} have NaN or infinite values in {name!r}")


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
