"""A quarter of the bytes, and an error that shrinks with the change: what a base lost, by row.

A row of base - tensor travels as whole multiples, -127 to 127, of the row's scale; the reader takes
them off the base that it holds. Symmetric absolute-maximum quantization as in `codecs.int8`, of
changes (as in QSGD, arXiv 1610.02132, or DeltaZip, arXiv 2312.05215) instead of values.

Domain: base and change finite and of magnitude up to 2^126. Layout: as `codecs.rows`, with bfloat16
scales.

Three things make it idempotent, though base - decoded is rounded:
- Scales have 8 significant bits. The greatest multiple of a row is then 127, whatever is rounded,
  and 1/127 of what comes back rounds to the same scale.
- A scale is at least 2^-21 of the greatest magnitude in the row of the base: well above the spacing
  of the values, so that what comes back rounds to the same multiples.
- A row without a multiple that is not 0 has the scale 0. It comes back as the base bit for bit:
  to subtract +0 changes no value, not even -0.
"""

from functools import partial

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import (
    Codec,
    ErrorBound,
    OutsideDomainError,
    on_cpu,
    require_base,
)
from atoll_worker.exchange.codecs.rows import (
    MOST,
    SMALLEST_SCALE,
    as_rows,
    greatest,
    pack,
    unpack,
)

GREATEST = 2.0**126
BOUND = ErrorBound(
    relative=(1 + 2**-8) * (1 + 2**-14) / 254, absolute=2**-119, of="RowChange", of_base=2**-21
)
"""Half a scale, which is 1/127 of the row's greatest change rounded to 8 bits, or 2^-21 of its
base; and what subtraction rounds, twice, at the 24th bit."""

_FLOOR = 2.0**-21


def against(base: Tensor) -> Codec:
    """The codec of tensors that have the type and shape of a base."""
    kept = on_cpu(base)
    return Codec(layout.DELTA, BOUND, partial(encode, base=kept), partial(decode, base=kept))


def encode(tensor: Tensor, base: Tensor) -> Tensor:
    """Scales and multiples as uint8 (N,).

    Raises:
        OutsideDomainError: a value outside of the domain, no value that differs from the base
            enough to show, or a base of another type or shape.
    """
    _require_like(tensor, base)
    x_RC, base_RC = as_rows(tensor), as_rows(base)

    def scaled(block: slice) -> tuple[Tensor, Tensor]:
        lost_RC = base_RC[block] - x_RC[block]
        return lost_RC, _scales(lost_RC, base_RC[block])

    content, scale_R = pack(x_RC.shape, torch.bfloat16, scaled)
    if not bool(scale_R.any()):
        raise OutsideDomainError("no value differs from the base enough to show")
    return content


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...], base: Tensor) -> Tensor:
    """Take the multiples off the base.

    Raises:
        DamagedError: a scale is negative or not finite, or the base has another type or shape.
    """
    require_base(base, dtype, shape)
    lost = unpack(content, torch.bfloat16, dtype, shape)
    return torch.sub(on_cpu(base), lost, out=lost)


def shows(tensor: Tensor, base: Tensor) -> bool:
    """Whether decoding can give anything but the base: false for a change too small to encode.

    Raises:
        OutsideDomainError: a value outside of the domain, or a base of another type or shape.
    """
    _require_like(tensor, base)
    base_RC = as_rows(base)
    return bool(_scales(base_RC - as_rows(tensor), base_RC).any())


def _scales(lost_RC: Tensor, base_RC: Tensor) -> Tensor:
    """A scale (R,) for each row, in the type of the row; exact as bfloat16.

    Raises:
        OutsideDomainError: a value outside of the domain.
    """
    change_R, base_R = greatest(lost_RC, GREATEST), greatest(base_RC, GREATEST)
    least_R = torch.maximum(change_R / MOST, base_R * _FLOOR)
    scale_R = least_R.to(torch.bfloat16).to(lost_RC.dtype)
    multiple_R = (change_R / scale_R.clamp_min(SMALLEST_SCALE)).round_()
    return torch.where((scale_R >= SMALLEST_SCALE) & (multiple_R > 0), scale_R, 0.0)


def _require_like(tensor: Tensor, base: Tensor) -> None:
    if (tensor.dtype, tensor.shape) != (base.dtype, base.shape):
        raise OutsideDomainError("the base has another type or shape")
    if tensor.numel() == 0:
        raise OutsideDomainError("there is no value")
