"""A quarter of the bytes: a row of values as whole multiples, -127 to 127, of the row's scale.

Symmetric absolute-maximum quantization by row (Dettmers et al., LLM.int8(), arXiv 2208.07339,
section 2.1), with two changes that make it idempotent: scales have 17 significant bits, so that a
multiple of one is exact in float32, and rows too small for a normal scale become zeros.

Domain: finite values of magnitude up to 2^126. Layout: a little-endian float32 scale a row, then
the multiples as signed bytes in row-major order. A constant row comes back as a constant.
"""

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import (
    Codec,
    DamagedError,
    ErrorBound,
    on_cpu,
    require_within,
)

GREATEST = 2.0**126
SMALLEST_SCALE = 2.0**-126
GREATEST_SCALE = 2.0**120
BOUND = ErrorBound(relative=(1 + 2**-14) / 254, absolute=2**-119, of="RowMaximum")
"""Half a scale. A scale is 1/127 of its row's maximum, rounded up at the 17th bit."""

_MOST = 127
_DROPPED_BITS = 2**7 - 1
_BLOCK_ELEMENTS = 2**16


def encode(tensor: Tensor) -> Tensor:
    """Scales and multiples as uint8 (N,).

    Raises:
        OutsideDomainError: a value outside of the domain.
    """
    if tensor.numel() == 0:
        return torch.empty(0, dtype=torch.uint8)
    x_RC = on_cpu(tensor).reshape(layout.num_rows(tuple(tensor.shape)), -1)
    low_R, high_R = x_RC.aminmax(dim=1)
    greatest_R = torch.maximum(-low_R, high_R)
    require_within(greatest_R, GREATEST)
    scale_R = _scales(greatest_R)
    head = scale_R.nbytes
    content = torch.empty(head + x_RC.numel(), dtype=torch.uint8)
    content[:head] = scale_R.view(torch.uint8)
    _fill(content[head:].view(torch.int8).reshape(x_RC.shape), x_RC, scale_R)
    return content


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Multiply; exact.

    Raises:
        DamagedError: a scale is negative or not finite.
    """
    if content.numel() == 0:
        return torch.empty(shape, dtype=dtype)
    rows = layout.num_rows(shape)
    head = rows * torch.float32.itemsize
    scale_R = content[:head].view(torch.float32)
    if not bool(((scale_R >= 0) & (scale_R <= GREATEST_SCALE)).all()):
        raise DamagedError("a scale is negative, too great or not finite")
    multiple_RC = content[head:].view(torch.int8).reshape(rows, -1)
    return multiple_RC.to(dtype).mul_(scale_R.to(dtype).unsqueeze(1)).reshape(shape)


def _fill(multiple_RC: Tensor, x_RC: Tensor, scale_R: Tensor) -> None:
    """The nearest multiples; none exceeds 127, because no scale rounds its row's maximum away.

    Few rows at a time: quotients that stay in the cache cost half of the whole matrix's.
    """
    divisor_R1 = torch.where(scale_R > 0, scale_R, torch.inf).to(x_RC.dtype).unsqueeze(1)
    rows = max(1, _BLOCK_ELEMENTS // x_RC.shape[1])
    for start in range(0, len(x_RC), rows):
        block = slice(start, start + rows)
        multiple_RC[block] = (x_RC[block] / divisor_R1[block]).round_()


def _scales(greatest_R: Tensor) -> Tensor:
    """A scale (R,) float32 for each row; 0 for a row of zeros, or too small to tell from one."""
    scale_R = (greatest_R / _MOST).to(torch.float32)
    rounded_R = ((scale_R.view(torch.int32) + _DROPPED_BITS) & ~_DROPPED_BITS).view(torch.float32)
    return torch.where(scale_R >= SMALLEST_SCALE, rounded_R, 0.0)


CODEC = Codec(layout.INT8, BOUND, encode, decode)
