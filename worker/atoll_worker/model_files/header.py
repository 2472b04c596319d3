"""The header of a safetensors file, parsed and made. Pure, no torch, no file.

A file is 8 bytes, little-endian, that say how long the header is; the header, JSON: for each tensor
its type, shape and place in what follows; then all tensors, without a gap.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from atoll_worker.errors import BadDataError

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 100_000_000
"""As the reference implementation has it."""
_TYPES: Final = {
    8: ("F64", "I64", "U64"),
    4: ("F32", "I32", "U32"),
    2: ("F16", "BF16", "I16", "U16"),
    1: ("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"),
}
ITEM_BYTES: Final = {dtype: size for size, dtypes in _TYPES.items() for dtype in dtypes}
_METADATA: Final = "__metadata__"
_ALIGNMENT: Final = 8


@dataclass(frozen=True)
class Form:
    """What a tensor is, apart from its numbers."""

    dtype: str
    """As safetensors calls it: BF16, I64."""
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Of its elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Of its elements together."""
        return self.count * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Entry:
    """One tensor of a file."""

    form: Form
    begin: int
    """Its first byte, counted from the end of the header."""

    @property
    def end(self) -> int:
        """The byte after its last."""
        return self.begin + self.form.size_bytes


def header_bytes(length: bytes, file_bytes: int) -> int:
    """How long a header is, by the first bytes of its file.

    Raises:
        BadDataError: no safetensors file begins so.
    """
    size = int.from_bytes(length, "little")
    if len(length) < LENGTH_BYTES or not 2 <= size <= MAX_HEADER_BYTES:
        raise BadDataError("not a safetensors file: convert it first")
    if LENGTH_BYTES + size > file_bytes:
        raise BadDataError(
            f"not a safetensors file, or cut off: it has {file_bytes:,} bytes, the header alone "
            f"would have {size:,}"
        )
    return size


def parse(text: bytes, data_bytes: int) -> dict[str, Entry]:
    """The tensors of a file, in the order of their places.

    Args:
        text: The header.
        data_bytes: How many bytes follow it.

    Raises:
        BadDataError: it is damaged, the file is too short, or a type is not known here.
    """
    entries = dict(_entry(name, it) for name, it in _document(text).items() if name != _METADATA)
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    reached = 0
    for name, entry in ordered.items():
        if entry.begin != reached:
            raise BadDataError(f"damaged: tensor {name!r} does not begin where the last one ends")
        reached = entry.end
    if reached != data_bytes:
        what = "cut off" if reached > data_bytes else "damaged"
        raise BadDataError(
            f"{what}: its tensors have {reached:,} bytes, after the header there are {data_bytes:,}"
        )
    return ordered


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise BadDataError(f"damaged: its header is not JSON: {reason}") from None
    if not isinstance(document, dict):
        raise BadDataError("damaged: its header is not a JSON object")
    return document


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a name stands twice")
    return document


def _entry(name: str, document: Any) -> tuple[str, Entry]:
    match document:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise BadDataError(f"damaged: the header does not say what tensor {name!r} is")
    if dtype not in ITEM_BYTES:
        raise BadDataError(
            f"tensor {name!r} has the type {dtype}, known here are {', '.join(ITEM_BYTES)}"
        )
    if not all(type(side) is int and side >= 0 for side in shape):
        raise BadDataError(f"damaged: tensor {name!r} has the shape {shape}")
    entry = Entry(Form(dtype, tuple(shape)), begin)
    if begin < 0 or entry.end != end:
        raise BadDataError(
            f"damaged: tensor {name!r} needs {entry.form.size_bytes:,} bytes, the header gives it "
            f"{begin:,} to {end:,}"
        )
    return name, entry


def make(forms: Mapping[str, Form], metadata: Mapping[str, str]) -> tuple[bytes, dict[str, Entry]]:
    """The beginning of a file with these tensors, and where each is placed.

    Equal arguments give equal bytes. Large elements come first, then by name, as the reference
    implementation places them: so that each is aligned.
    """
    entries: dict[str, Entry] = {}
    reached = 0
    for name in sorted(forms, key=lambda name: (-ITEM_BYTES[forms[name].dtype], name)):
        entries[name] = Entry(forms[name], reached)
        reached = entries[name].end
    document: dict[str, object] = {_METADATA: dict(sorted(metadata.items()))}
    for name, entry in entries.items():
        place = [entry.begin, entry.end]
        document[name] = {
            "dtype": entry.form.dtype,
            "shape": list(entry.form.shape),
            "data_offsets": place,
        }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text, entries


def shards(forms: Mapping[str, Form], max_bytes: int) -> Sequence[dict[str, Form]]:
    """Tensors in files of at most so many bytes, in order; a larger tensor has a file of its own."""
    found: list[dict[str, Form]] = [{}]
    reached = 0
    for name, form in forms.items():
        if found[-1] and reached + form.size_bytes > max_bytes:
            found.append({})
            reached = 0
        found[-1][name] = form
        reached += form.size_bytes
    return found
