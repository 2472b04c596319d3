"""Half the bytes: values rounded to bfloat16, with float32's range and 8 significant bits.

Domain: finite values of magnitude up to bfloat16's greatest, 3.39e38 (float32 reaches 3.40e38).
"""

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import Codec, ErrorBound, narrowed, widened

BOUND = ErrorBound(relative=2**-8 + 2**-23, absolute=2**-134, of="Value")
"""Half a unit in the last of 8 bits. float64 is rounded twice, by way of float32; below 2^-126
the spacing no longer shrinks."""


def encode(tensor: Tensor) -> Tensor:
    """Round to nearest, ties to even.

    Raises:
        OutsideDomainError: a value outside of the domain.
    """
    return narrowed(tensor, torch.bfloat16)


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Widen; exact.

    Raises:
        DamagedError: an element is not finite.
    """
    return widened(content, torch.bfloat16, dtype).reshape(shape)


CODEC = Codec(layout.BFLOAT16, BOUND, encode, decode)
