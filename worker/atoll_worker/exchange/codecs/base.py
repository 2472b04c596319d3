"""What every codec is: two pure functions, and a bound on what they change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


class OutsideDomainError(ValueError):
    """A tensor with values that a codec cannot bring back within its bound."""


class DamagedError(ValueError):
    """Bytes that no encoder writes; the message says what is wrong with them."""


@dataclass(frozen=True)
class ErrorBound:
    """|decoded - x| <= relative * m + of_base * b + absolute for every value x in the domain."""

    relative: float
    absolute: float
    of: Literal["Value", "RowMaximum", "RowChange"]
    """m: |x| itself, the largest |x| of its row, or the largest |x - base| of its row."""
    of_base: float = 0.0
    """b: the largest |base| of its row."""


@dataclass(frozen=True)
class Codec:
    """One encoding.

    For every x in the domain, `encode(decode(encode(x)))` equals `encode(x)`.

    Attributes:
        name: in manifests, one of `layout.ENCODINGS`.
        bound: of the error.
        encode: tensor -> contiguous tensor whose bytes are the encoding. Raises
            OutsideDomainError.
        decode: (bytes as uint8 (N,), type, shape) -> tensor; may share the memory of the bytes.
            Raises DamagedError.
    """

    name: str
    bound: ErrorBound
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor, torch.dtype, tuple[int, ...]], Tensor]


def on_cpu(tensor: Tensor) -> Tensor:
    """The values in row-major order, on the CPU; the tensor's own memory where it is so."""
    found = tensor.detach() if tensor.requires_grad else tensor
    found = found if found.is_cpu else found.cpu()
    return found if found.is_contiguous() else found.contiguous()


def require_base(base: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Refuse to decode against a base of another type or shape.

    Raises:
        DamagedError: it has one.
    """
    if (base.dtype, tuple(base.shape)) != (dtype, shape):
        raise DamagedError(f"the base is {base.dtype} {tuple(base.shape)}, not {dtype} {shape}")


def require_within(tensor: Tensor, greatest: float) -> None:
    """Refuse values that are not finite or greater than a limit.

    Raises:
        OutsideDomainError: there is one.
    """
    if tensor.numel() == 0:
        return
    low, high = tensor.aminmax()
    if not (-greatest <= float(low) and float(high) <= greatest):  # NaN is in neither
        raise OutsideDomainError(f"a value is not finite or greater than {greatest:g}")
