"""The rows of a manifest as text: where all are plain, thousands are read at one look. Pure.

A plain row has one blob, and a name of printable ASCII that JSON does not escape. Its pattern lets
one spelling through, the canonical one, so plain rows need not be written again to be compared.
Nothing here is a check of what they say: that is the manifest's, as it is of all other rows.
"""

import json
import re
from typing import Any, Final

from atoll_worker.exchange.content import Blob

_BEGIN: Final = ',"tensors":['
_END: Final = "]}"
_COUNT: Final = "(?:0|[1-9][0-9]{0,14})"
_ROW: Final = re.compile(
    r'\["([ !#-\[\]-~]++)"'
    r',"([a-z0-9]++)"'
    rf",(\[(?:{_COUNT}(?:,{_COUNT})*+)?\])"
    r',"([a-z0-9-]++)"'
    rf',\[\["(blake3:[0-9a-f]{{64}})",({_COUNT})\]\]\],'
)
_PARTS: Final = _ROW.groups + 1

Columns = tuple[list[str], list[str], list[tuple[int, ...]], list[str], list[Any]]
"""Names, types, shapes, encodings, and a tuple of blobs each."""


def take_out(content: bytes) -> tuple[bytes, Columns | None]:
    """The manifest without its rows, and their columns; or as it is, and None.

    The manifest is canonical if, and only if, what is left is.
    """
    if not content.isascii():
        return content, None
    rest, _, rows = content.decode().rpartition(_BEGIN)
    if not rows.endswith(_END):
        return content, None
    parts = _ROW.split(rows.removesuffix(_END) + ",")
    between, *columns = (parts[column::_PARTS] for column in range(_PARTS))
    if any(between):
        return content, None
    return (rest + _BEGIN + _END).encode(), _read(*columns)


def _read(
    names: list[str],
    dtypes: list[str],
    shapes: list[str],
    encodings: list[str],
    digests: list[str],
    sizes: list[str],
) -> Columns:
    """The columns; many rows share a shape."""
    shape_of = {text: tuple(json.loads(text)) for text in set(shapes)}
    blobs = [(blob,) for blob in map(Blob, digests, map(int, sizes))]
    return names, dtypes, [shape_of[text] for text in shapes], encodings, blobs
