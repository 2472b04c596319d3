"""The file format of the store: one artifact's manifest and the blobs it brought. Pure.

magic "ATOLPK01" | manifest bytes: u32 | index bytes: u32 | manifest | index | blob | blob | ...

The index is a JSON list of [digest, bytes] in the order of the blobs; or null in the pack of an
artifact whose blobs are elsewhere, which a process holds for others. A pack holds only blobs that
no other pack held when it was written. It is named by the digest of all before its blobs, so two
packs of one name have the same content.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from atoll_worker.exchange.content import Blob, digest_of
from atoll_worker.exchange.manifest import (
    MAX_BLOB_BYTES,
    MAX_MANIFEST_BYTES,
    Manifest,
    check_digest,
)

SUFFIX = ".pack"
MAX_INDEX_BYTES = MAX_MANIFEST_BYTES
PREFIX = struct.Struct("<8sII")
_MAGIC = b"ATOLPK01"


class PackError(ValueError):
    """A file that is no pack, or whose head was altered."""


@dataclass(frozen=True)
class Span:
    """Where a blob is in its pack."""

    offset_bytes: int
    size_bytes: int


@dataclass
class Pack:
    """What is in one pack; spans found damaged are taken out."""

    name: str
    manifest_digest: str
    manifest: Span
    blobs: dict[str, Span] = field(default_factory=dict)
    size_bytes: int = 0
    """Bytes of the file."""
    held: bool = False
    """Whether the blobs of the manifest are elsewhere."""


def head(manifest: bytes, blobs: Iterable[Blob] | None) -> bytes:
    """All of a pack before its blobs; None for those that are elsewhere."""
    index = json.dumps(blobs if blobs is None else [list(blob) for blob in blobs]).encode()
    return PREFIX.pack(_MAGIC, len(manifest), len(index)) + manifest + index


def of(content: bytes, manifest: Manifest, blobs: Sequence[Blob]) -> Pack:
    """What `read_head` would say of a whole pack with this head."""
    place = Span(PREFIX.size, len(manifest.to_bytes()))
    spans = spans_of(len(content), blobs)
    size_bytes = len(content) + sum(blob.size_bytes for blob in blobs)
    return Pack(name_of(content), manifest.digest, place, spans, size_bytes)


def name_of(content: bytes) -> str:
    """File name of the pack with this head."""
    return digest_of(content).removeprefix("blake3:") + SUFFIX


def head_bytes(prefix: bytes) -> int:
    """Length of the head that starts with these `PREFIX.size` bytes.

    Raises:
        PackError: the bytes do not start a pack.
    """
    if len(prefix) != PREFIX.size:
        raise PackError("the file is shorter than the head of a pack")
    magic, manifest_bytes, index_bytes = PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise PackError("the file does not start as a pack does")
    if manifest_bytes > MAX_MANIFEST_BYTES or index_bytes > MAX_INDEX_BYTES:
        raise PackError("the head of the pack is longer than any that is written")
    return int(PREFIX.size + manifest_bytes + index_bytes)


def read_head(name: str, content: bytes, file_bytes: int) -> Pack:
    """What a pack holds, by its head; blobs beyond the end of a cut file are left out.

    Raises:
        PackError: the head does not have the digest that the file is named by.
    """
    if name_of(content) != name:
        raise PackError("the head of the pack was altered")
    _, manifest_bytes, index_bytes = PREFIX.unpack(content[: PREFIX.size])
    manifest = Span(PREFIX.size, manifest_bytes)
    start = PREFIX.size + manifest_bytes
    digest = digest_of(content[PREFIX.size : start])
    index = _index(content[start : start + index_bytes])
    if index is None:
        return Pack(name, digest, manifest, {}, file_bytes, held=True)
    spans = spans_of(len(content), index)
    whole = {
        name: span
        for name, span in spans.items()
        if span.offset_bytes + span.size_bytes <= file_bytes
    }
    return Pack(name, digest, manifest, whole, file_bytes)


def spans_of(start_bytes: int, blobs: Iterable[Blob]) -> dict[str, Span]:
    """Where each blob goes in a pack whose head has `start_bytes`."""
    spans = {}
    for blob in blobs:
        spans[blob.digest] = Span(start_bytes, blob.size_bytes)
        start_bytes += blob.size_bytes
    return spans


def _index(content: bytes) -> list[Blob] | None:
    try:
        index = json.loads(content)
    except RecursionError:
        raise PackError("the index of the pack is nested too deeply") from None
    if index is not None and not isinstance(index, list):
        raise PackError("the index of the pack is no list")
    return None if index is None else [_blob(entry) for entry in index]


def _blob(entry: object) -> Blob:
    match entry:
        case [str(digest), int(size)] if 0 < size <= MAX_BLOB_BYTES:
            return Blob(check_digest(digest), size)
        case _:
            raise PackError("the index of the pack is not as it is written")
