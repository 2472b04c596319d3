"""The raw encoding: little-endian elements in row-major order. Exact; error bound 0."""

import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from atoll_worker.exchange.manifest import ITEM_BYTES, MAX_BLOB_BYTES

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in ITEM_BYTES}
"""The types of `manifest.ITEM_BYTES`, as torch has them."""
NAMES: dict[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}


def view(tensor: Tensor) -> memoryview:
    """The bytes of a tensor: its own memory where it is contiguous on the CPU, else a copy.

    Writing to the view of such a tensor fills the tensor.
    """
    if sys.byteorder != "little":
        raise NotImplementedError("the raw encoding is little-endian, this machine is not")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def split(content: memoryview) -> Iterator[memoryview]:
    """Pieces of at most one blob; none for no bytes."""
    for start in range(0, len(content), MAX_BLOB_BYTES):
        yield content[start : start + MAX_BLOB_BYTES]


def allocate(dtype: str, shape: tuple[int, ...]) -> Tensor:
    """Memory for a tensor, not yet written; fill it by `view`."""
    return torch.empty(shape, dtype=DTYPES[dtype])
