"""A quarter of the bytes: a row of values as whole multiples, -127 to 127, of the row's scale.

Symmetric absolute-maximum quantization by row (Dettmers et al., LLM.int8(), arXiv 2208.07339,
section 2.1), with two changes that make it idempotent: scales have 17 significant bits, so that a
multiple of one is exact in float32, and rows too small for a normal scale become zeros.

Domain: finite values of magnitude up to 2^126. Layout: as `codecs.rows`, with float32 scales. A
constant row comes back as a constant.
"""

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import Codec, ErrorBound
from atoll_worker.exchange.codecs.rows import (
    MOST,
    SMALLEST_SCALE,
    as_rows,
    greatest,
    pack,
    unpack,
)

GREATEST = 2.0**126
BOUND = ErrorBound(relative=(1 + 2**-14) / 254, absolute=2**-119, of="RowMaximum")
"""Half a scale. A scale is 1/127 of its row's maximum, rounded up at the 17th bit: no multiple
exceeds 127."""

_DROPPED_BITS = 2**7 - 1


def encode(tensor: Tensor) -> Tensor:
    """Scales and multiples as uint8 (N,).

    Raises:
        OutsideDomainError: a value outside of the domain.
    """
    if tensor.numel() == 0:
        return torch.empty(0, dtype=torch.uint8)
    x_RC = as_rows(tensor)

    def scaled(block: slice) -> tuple[Tensor, Tensor]:
        return x_RC[block], _scales(greatest(x_RC[block], GREATEST))

    return pack(x_RC.shape, torch.float32, scaled)[0]


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Multiply; exact.

    Raises:
        DamagedError: a scale is negative or not finite.
    """
    return unpack(content, torch.float32, dtype, shape)


def _scales(greatest_R: Tensor) -> Tensor:
    """A scale (R,) float32 for each row; 0 for a row of zeros, or too small to tell from one."""
    scale_R = (greatest_R / MOST).to(torch.float32)
    rounded_R = ((scale_R.view(torch.int32) + _DROPPED_BITS) & ~_DROPPED_BITS).view(torch.float32)
    return torch.where(scale_R >= SMALLEST_SCALE, rounded_R, 0.0)


CODEC = Codec(layout.INT8, BOUND, encode, decode)
