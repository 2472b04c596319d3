"""Half the bytes: values rounded to IEEE 754 binary16, with 11 significant bits and little range.

Domain: finite values of magnitude up to 65504. Greater ones are refused, not saturated and not
made infinite: `encoding.encode` then sends that tensor raw.
"""

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import Codec, ErrorBound, narrowed, widened

BOUND = ErrorBound(relative=2**-11 + 2**-23, absolute=2**-25, of="Value")
"""Half a unit in the last of 11 bits. float64 is rounded twice, by way of float32; below 2^-14
the spacing no longer shrinks, so values below 2^-25 (3e-8) become 0."""


def encode(tensor: Tensor) -> Tensor:
    """Round to nearest, ties to even.

    Raises:
        OutsideDomainError: a value outside of the domain.
    """
    return narrowed(tensor, torch.float16)


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Widen; exact.

    Raises:
        DamagedError: an element is not finite.
    """
    return widened(content, torch.float16, dtype).reshape(shape)


CODEC = Codec(layout.FLOAT16, BOUND, encode, decode)
