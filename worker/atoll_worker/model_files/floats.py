"""Bytes to floats and back, without torch: numpy has no bfloat16 of its own.

Shape suffixes: N elements.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atoll_worker.merge.pieces import Numbers

FLOATS: Final = frozenset({"F64", "F32", "F16", "BF16"})
"""What can be merged, as safetensors calls it; integers and booleans are copied."""
_NUMPY: Final = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
Bytes = NDArray[np.uint8]
Working = type[np.float32 | np.float64]
"""What tensors are merged in."""


def working_dtype(dtype: str) -> Working:
    """What tensors are merged in, by the type of the first model's."""
    return np.float64 if dtype == "F64" else np.float32


def numbers(raw: Bytes, dtype: str, working: Working) -> Numbers:
    """What bytes mean (N,), in an array of its own."""
    if dtype != "BF16":
        return raw.view(_NUMPY[dtype]).astype(working)
    upper_N = raw.view(np.uint16).astype(np.uint32)
    upper_N <<= 16
    return upper_N.view(np.float32).astype(working, copy=False)


def raw(numbers_N: Numbers, dtype: str) -> Bytes:
    """Numbers rounded to a type, half to even; float64 goes to BF16 by way of float32."""
    with np.errstate(over="ignore"):  # whoever wants no infinity looks for it
        if dtype != "BF16":
            return numbers_N.astype(_NUMPY[dtype], copy=False).view(np.uint8)
        pattern_N = numbers_N.astype(np.float32, copy=False).view(np.uint32)
    upper_N = pattern_N >> 16
    upper_N &= 1
    upper_N += 0x7FFF
    upper_N += pattern_N
    upper_N >>= 16
    nan_N = np.isnan(numbers_N)
    if nan_N.any():  # the addition may have carried it to a number
        upper_N[nan_N] = 0x7FC0
    return upper_N.astype(np.uint16).view(np.uint8)


def is_finite(numbers_N: Numbers) -> bool:
    """Whether all are; a sum is finite only if they are, and is cheaper than asking each."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(numbers_N.sum())
    return math.isfinite(total) or bool(np.isfinite(numbers_N).all())
