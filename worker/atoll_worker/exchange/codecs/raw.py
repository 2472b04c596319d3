"""The raw encoding: little-endian elements in row-major order. Exact; error bound 0."""

import sys

import torch
from torch import Tensor

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.codecs.base import Codec, ErrorBound, on_cpu

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in layout.ITEM_BYTES}
"""The types of `layout.ITEM_BYTES`, as torch has them."""
NAMES: dict[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}

BOUND = ErrorBound(relative=0.0, absolute=0.0, of="Value")


def view(tensor: Tensor) -> memoryview:
    """The bytes of a tensor: its own memory where it is contiguous on the CPU, else a copy.

    Writing to the view of such a tensor fills the tensor.
    """
    if sys.byteorder != "little":
        raise NotImplementedError("encodings are little-endian, this machine is not")
    found = on_cpu(tensor)
    if found.dtype == torch.bfloat16 or found.numel() == 0:  # which NumPy lacks, or does not cast
        return found.reshape(-1).view(torch.uint8).numpy().data
    return found.numpy().data.cast("B")


def decode(content: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The bytes themselves, seen as elements."""
    return content.view(dtype).reshape(shape)


CODEC = Codec(layout.RAW, BOUND, on_cpu, decode)
