"""Half the bytes: values rounded to a narrower type, to nearest, ties to even.

bfloat16 has float32's range and 8 significant bits; IEEE 754 binary16 has 11 and little range.

Domain: finite values up to the narrow type's greatest, 3.39e38 (float32 reaches 3.40e38) or 65504.
Greater ones are refused, not saturated and not made infinite.
"""

from functools import partial

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import (
    Codec,
    DamagedError,
    ErrorBound,
    OutsideDomainError,
    on_cpu,
    require_within,
)


def encode(tensor: Tensor, narrow: torch.dtype) -> Tensor:
    """Round.

    Raises:
        OutsideDomainError: a value outside of the domain.
    """
    content = on_cpu(tensor)
    require_within(content, torch.finfo(narrow).max)
    return content.to(narrow)


def decode(
    content: Tensor, dtype: torch.dtype, shape: tuple[int, ...], narrow: torch.dtype
) -> Tensor:
    """Widen; exact.

    Raises:
        DamagedError: an element is not finite.
    """
    elements = content.view(narrow).to(dtype)
    try:
        require_within(elements, torch.finfo(narrow).max)
    except OutsideDomainError as error:
        raise DamagedError(str(error)) from error
    return elements.reshape(shape)


def _codec(name: str, narrow: torch.dtype, relative: float, absolute: float) -> Codec:
    # float64 is rounded twice, by way of float32: the 2^-23. Below the least normal value of the
    # narrow type the spacing no longer shrinks: the absolute part.
    bound = ErrorBound(relative + 2**-23, absolute, of="Value")
    return Codec(name, bound, partial(encode, narrow=narrow), partial(decode, narrow=narrow))


BFLOAT16 = _codec(layout.BFLOAT16, torch.bfloat16, relative=2**-8, absolute=2**-134)
FLOAT16 = _codec(layout.FLOAT16, torch.float16, relative=2**-11, absolute=2**-25)
