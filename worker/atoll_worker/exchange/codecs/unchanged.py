"""No bytes at all: the base's own tensor, of any type.

Domain: tensors that have the bytes of the base, and floats so near to it that `codecs.delta` has no
multiple for them. With it frozen layers, masks and counters cost nothing, and a tensor that was
decoded from a delta is encoded as it was.
"""

from contextlib import suppress
from functools import partial

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import delta, layout, raw
from atoll_worker.exchange.codecs.base import (
    Codec,
    DamagedError,
    OutsideDomainError,
    on_cpu,
    require_base,
)


def against(base: Tensor) -> Codec:
    """The codec of tensors that are a base's."""
    return Codec(
        layout.UNCHANGED, delta.BOUND, partial(encode, base=base), partial(decode, base=base)
    )


def encode(tensor: Tensor, base: Tensor) -> Tensor:
    """Nothing, as uint8 (0,).

    Raises:
        OutsideDomainError: the tensor is another than the base.
    """
    if not _same_bytes(tensor, base) and not _near(tensor, base):
        raise OutsideDomainError("the tensor is another than the base")
    return torch.empty(0, dtype=torch.uint8)


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...], base: Tensor) -> Tensor:
    """A copy of the base: whoever changes it changes no other artifact.

    Raises:
        DamagedError: there are bytes, or the base has another type or shape.
    """
    if content.numel():
        raise DamagedError(f"{content.numel()} bytes, where the base alone says all")
    require_base(base, dtype, shape)
    return on_cpu(base).clone()


def _same_bytes(tensor: Tensor, base: Tensor) -> bool:
    """NaN equals itself here, and 0 is not -0."""
    if (tensor.dtype, tensor.shape) != (base.dtype, base.shape):
        return False
    ours, theirs = (on_cpu(it).reshape(-1).view(torch.uint8) for it in (tensor, base))
    return torch.equal(ours, theirs)


def _near(tensor: Tensor, base: Tensor) -> bool:
    if raw.NAMES.get(tensor.dtype) in layout.ROUNDED:
        with suppress(OutsideDomainError):
            return not delta.shows(tensor, base)
    return False
