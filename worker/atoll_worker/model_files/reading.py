"""One tensor of several models, read piece by piece into the same buffers: memory is pieces alone."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from atoll_worker.errors import BadDataError
from atoll_worker.merge.pieces import Numbers
from atoll_worker.model_files import floats
from atoll_worker.model_files.floats import Bytes, Working
from atoll_worker.model_files.header import ITEM_BYTES
from atoll_worker.model_files.source import Stored

PIECE_ELEMENTS: Final = 128 * 1024
"""In float32 half a megabyte: what a merge computes with stays in the caches."""


class Reader:
    """Reads one tensor of several models. For one thread."""

    def __init__(self, sources: Sequence[Stored], working: Working) -> None:
        self._sources = sources
        self.working = working
        elements = min(PIECE_ELEMENTS, sources[0].form.count)
        self._buffers = [np.empty(elements * ITEM_BYTES[it.form.dtype], np.uint8) for it in sources]

    def raw(self) -> Iterator[list[Bytes]]:
        """The bytes of the same elements of each model, from the first element to the last.

        They are good until the next are asked for.

        Raises:
            BadDataError: a file cannot be read, or is shorter than it was.
        """
        count = self._sources[0].form.count
        for begin in range(0, count, PIECE_ELEMENTS):
            elements = min(PIECE_ELEMENTS, count - begin)
            yield [
                _read(source, buffer, begin, elements)
                for source, buffer in zip(self._sources, self._buffers, strict=True)
            ]

    def pieces(self) -> Iterator[list[Numbers]]:
        """As `raw`, as numbers (N,) to be overwritten, of tensors of floats.

        Raises:
            BadDataError: see `raw`.
        """
        return map(self.numbers, self.raw())

    def numbers(self, raw: Sequence[Bytes]) -> list[Numbers]:
        """What the bytes of each model mean, where they are floats."""
        return [
            floats.numbers(it, source.form.dtype, self.working)
            for it, source in zip(raw, self._sources, strict=True)
        ]


def _read(source: Stored, buffer: Bytes, begin: int, elements: int) -> Bytes:
    item_bytes = ITEM_BYTES[source.form.dtype]
    wanted = buffer[: elements * item_bytes]
    rest = wanted.data
    offset = source.offset_bytes + begin * item_bytes
    while rest:
        try:
            got = os.preadv(source.descriptor, [rest], offset)
        except OSError as error:
            raise BadDataError(f"{source.file}: cannot be read: {error.strerror}") from None
        if not got:
            raise BadDataError(f"{source.file}: was cut off while it was read")
        rest = rest[got:]
        offset += got
    return wanted
