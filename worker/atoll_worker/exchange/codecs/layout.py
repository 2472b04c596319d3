"""How many bytes an encoding takes; pure, without torch: the hub checks sizes too."""

import math
from collections.abc import Mapping
from typing import Final

ITEM_BYTES: Final[Mapping[str, int]] = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
}
"""Bytes of one element, by the name of its type."""

RAW: Final = "raw"
"""Little-endian elements in row-major order, without padding."""
BFLOAT16: Final = "bfloat16"
"""As raw, each element rounded to bfloat16."""
FLOAT16: Final = "float16"
"""As raw, each element rounded to IEEE 754 binary16."""
INT8: Final = "int8"
"""A little-endian float32 scale a row, then a signed byte an element; see `codecs.int8`."""
DELTA: Final = "delta"
"""A little-endian bfloat16 scale a row, then a signed byte an element; see `codecs.delta`."""
UNCHANGED: Final = "unchanged"
"""Nothing: the tensor of the base."""

ENCODINGS: Final = (RAW, BFLOAT16, FLOAT16, INT8, DELTA, UNCHANGED)
ROUNDED: Final = frozenset({"float32", "float64"})
"""Types whose values may be rounded on the way; all others always travel raw."""

_SCALE_BYTES: Final[Mapping[str, int]] = {INT8: 4, DELTA: 2}


def num_rows(shape: tuple[int, ...]) -> int:
    """Rows of a tensor: the elements of one first index; up to rank 1 all are one row."""
    return shape[0] if len(shape) > 1 else 1


def encoded_bytes(encoding: str, dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor in one of `ENCODINGS`.

    Raises:
        ValueError: this type never travels so; the message is half a sentence.
    """
    elements = math.prod(shape)
    if encoding == RAW:
        return elements * ITEM_BYTES[dtype]
    if encoding == UNCHANGED:
        return 0
    if dtype not in ROUNDED:
        raise ValueError(f"{dtype} travels raw, not as {encoding}")
    if encoding in _SCALE_BYTES:
        return elements + _SCALE_BYTES[encoding] * num_rows(shape) if elements else 0
    return elements * ITEM_BYTES[encoding]


def needs_base(encoding: str) -> bool:
    """Whether only who holds another artifact can decode it."""
    return encoding in (DELTA, UNCHANGED)


def pays(encoding: str, dtype: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this type may travel so, and has fewer bytes then than raw."""
    if dtype not in ITEM_BYTES or (encoding != UNCHANGED and dtype not in ROUNDED):
        return False
    return encoded_bytes(encoding, dtype, shape) < encoded_bytes(RAW, dtype, shape)
