"""The bulk messages as bytes: what the generated code would write, by one join. Pure.

A generated message copies the content of a blob once more on each side; here the sender joins
headers and the blob's own memory, and the receiver gets views of what arrived. The layout is that
of `PublishRequest` and `FetchResponse` in exchange.proto; `decode_*` also reads what another
encoder may write: fields in any order, fields of a later version.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from atoll_worker.exchange.manifest import ManifestError

PIECE_BYTES: Final = 1024 * 1024
"""Bytes of blobs in one message: less costs calls, more costs memory."""
MAX_CHUNKS: Final = 8192
"""Runs in one message: each costs the receiver an object, however short it is."""

Chunk = tuple[str, int, bytes | memoryview]
"""(blob digest, offset in bytes, content)."""

_SESSION, _PUBLISH_CHUNKS = 1, 2
_FETCH_CHUNKS = 1
_DIGEST, _OFFSET, _CONTENT = 1, 2, 3
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}


class FrameError(ManifestError):
    """Bytes that are no such message, or a message that breaks a limit."""


def encode_publish(session: str, chunks: Iterable[Chunk]) -> bytes:
    """A `PublishRequest`."""
    parts = [_header(_SESSION, session.encode())] if session else []
    return b"".join([*parts, *_chunks(_PUBLISH_CHUNKS, chunks)])


def encode_fetch(chunks: Iterable[Chunk]) -> bytes:
    """A `FetchResponse`."""
    return b"".join(_chunks(_FETCH_CHUNKS, chunks))


def decode_publish(message: bytes) -> tuple[str, list[Chunk]]:
    """The session ("" if unset) and the chunks, which are views of the message.

    Raises:
        FrameError: it is no `PublishRequest`, or holds too much.
    """
    session, chunks = "", _Chunks()
    for number, value in _fields(memoryview(message)):
        if number == _SESSION and isinstance(value, memoryview):
            session = _text(value)
        elif number == _PUBLISH_CHUNKS and isinstance(value, memoryview):
            chunks.add(value)
    return session, chunks.found


def decode_fetch(message: bytes) -> list[Chunk]:
    """The chunks of a `FetchResponse`, which are views of the message.

    Raises:
        FrameError: it is no `FetchResponse`, or holds too much.
    """
    chunks = _Chunks()
    for number, value in _fields(memoryview(message)):
        if number == _FETCH_CHUNKS and isinstance(value, memoryview):
            chunks.add(value)
    return chunks.found


def packed(pieces: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks of each message: as many pieces (of at most `PIECE_BYTES` each) as fit.

    A message for each small blob would cost 19 times more.
    """
    chunks: list[Chunk] = []
    size = 0
    for piece in pieces:
        length = len(piece[2])
        if chunks and (size + length > PIECE_BYTES or len(chunks) == MAX_CHUNKS):
            yield chunks
            chunks, size = [], 0
        chunks.append(piece)
        size += length
    if chunks:
        yield chunks


class _Chunks:
    def __init__(self) -> None:
        self.found: list[Chunk] = []
        self._size_bytes = 0

    def add(self, view: memoryview) -> None:
        chunk = _chunk(view)
        self.found.append(chunk)
        self._size_bytes += len(chunk[2])
        if self._size_bytes > PIECE_BYTES:
            raise FrameError(f"a message holds more than {PIECE_BYTES} bytes of blobs")
        if len(self.found) > MAX_CHUNKS:
            raise FrameError(f"a message holds more than {MAX_CHUNKS} runs of bytes")


def _chunk(view: memoryview) -> Chunk:
    digest, offset, content = "", 0, memoryview(b"")
    for number, value in _fields(view):
        if number == _DIGEST and isinstance(value, memoryview):
            digest = _text(value)
        elif number == _OFFSET and isinstance(value, int):
            offset = value
        elif number == _CONTENT and isinstance(value, memoryview):
            content = value
    return digest, offset, content


def _chunks(number: int, chunks: Iterable[Chunk]) -> Iterator[bytes | memoryview]:
    for digest, offset, content in chunks:
        head = _header(_DIGEST, digest.encode()) if digest else b""
        if offset:
            head += bytes([_OFFSET << 3 | _VARINT]) + _varint(offset)
        if content:
            head += bytes([_CONTENT << 3 | _LENGTH]) + _varint(len(content))
        yield bytes([number << 3 | _LENGTH]) + _varint(len(head) + len(content)) + head
        yield content


def _header(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview | None]]:
    """(field number, value); None for a fixed-width value, of which we have no field."""
    at = 0
    while at < len(view):
        tag, at = _read_varint(view, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise FrameError(f"a message has a field of number {number}")
        if kind == _VARINT:
            value, at = _read_varint(view, at)
            yield number, value
        elif kind in (_LENGTH, *_FIXED):
            size, at = _read_varint(view, at) if kind == _LENGTH else (_FIXED[kind], at)
            if size > len(view) - at:
                raise FrameError("a message ends within a field")
            yield number, view[at : at + size] if kind == _LENGTH else None
            at += size
        else:
            raise FrameError(f"a message has a field of wire type {kind}")


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            if value >= 1 << 63:
                raise FrameError("a message has a number beyond 63 bits")
            return value, at + shift + 1
    raise FrameError("a message ends within a number, or has one that is too long")


def _text(view: memoryview) -> str:
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        raise FrameError("a message has text that is not UTF-8") from None
