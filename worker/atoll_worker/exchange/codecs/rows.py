"""Rows of values as whole multiples, -127 to 127, of a row's scale.

Layout: a scale a row, little-endian, then the multiples as signed bytes in row-major order.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import DamagedError, on_cpu, require_within

MOST = 127
SMALLEST_SCALE = 2.0**-126
GREATEST_SCALE = 2.0**120
_BLOCK_ELEMENTS = 2**17

Scaled = Callable[[slice], tuple[Tensor, Tensor]]
"""Of some rows: the values (R, C), and a scale (R,) for each; 0 where all multiples are 0."""


def as_rows(tensor: Tensor) -> Tensor:
    """The values (R, C) on the CPU; there has to be one."""
    return on_cpu(tensor).reshape(layout.num_rows(tuple(tensor.shape)), -1)


def greatest(x_RC: Tensor, limit: float) -> Tensor:
    """The greatest magnitude (R,) of each row. `aminmax` along rows takes 20 times as long.

    Raises:
        OutsideDomainError: one is not finite or greater than the limit.
    """
    greatest_R = torch.maximum(-x_RC.amin(dim=1), x_RC.amax(dim=1))
    require_within(greatest_R, limit)
    return greatest_R


def pack(shape: torch.Size, scale_type: torch.dtype, scaled: Scaled) -> tuple[Tensor, Tensor]:
    """The encoding as uint8 (N,), and the scales (R,) in it.

    Few rows at a time: what stays in the cache costs half of the whole matrix's.
    """
    rows, columns = shape
    head = rows * scale_type.itemsize
    content = torch.empty(head + rows * columns, dtype=torch.uint8)
    scale_R = content[:head].view(scale_type)
    multiple_RC = content[head:].view(torch.int8).reshape(shape)
    step = max(1, _BLOCK_ELEMENTS // columns)
    for start in range(0, rows, step):
        block = slice(start, start + step)
        x_RC, exact_R = scaled(block)
        divisor_R1 = torch.where(exact_R > 0, exact_R, torch.inf).to(x_RC.dtype).unsqueeze(1)
        multiple_RC[block] = (x_RC / divisor_R1).round_()
        scale_R[block] = exact_R
    return content, scale_R


def unpack(
    content: Tensor, scale_type: torch.dtype, dtype: torch.dtype, shape: tuple[int, ...]
) -> Tensor:
    """The multiples times their scales, in new memory; exact.

    Raises:
        DamagedError: a scale is negative or not finite.
    """
    if content.numel() == 0:
        return torch.empty(shape, dtype=dtype)
    rows = layout.num_rows(shape)
    head = rows * scale_type.itemsize
    scale_R = content[:head].view(scale_type)
    if not bool(((scale_R >= 0) & (scale_R <= GREATEST_SCALE)).all()):
        raise DamagedError("a scale is negative, too great or not finite")
    multiple_RC = content[head:].view(torch.int8).reshape(rows, -1)
    return multiple_RC.to(dtype).mul_(scale_R.to(dtype).unsqueeze(1)).reshape(shape)
