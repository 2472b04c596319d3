"""The bulk messages as bytes: what the generated code would write, by one join. Pure.

A generated message copies the content once more on each side; here the sender joins a header and
the memory of the blobs, and the receiver gets a view of what arrived. The layout is that of
`PublishRequest` and `FetchResponse` in exchange.proto; `decode_*` also reads what another encoder
may write: fields in any order, fields of a later version.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from atoll_worker.exchange.content import PIECE_BYTES, Buffer, ContentError

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Of any message, as exchange.proto says."""
EXCHANGE_SERVICE: Final = "atoll.exchange.v1.ExchangeService"
_SESSION, _PUBLISH_POSITION, _PUBLISH_CONTENT = 1, 2, 3
_FETCH_POSITION, _FETCH_CONTENT = 1, 2
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}

WRITTEN_BYTES: Final = "atoll-written-bytes"
"""Metadata of a Bind that is refused as the artifact is still being written: how far that is."""


class FrameError(ContentError):
    """Bytes that are no such message, or a message that breaks a limit."""


def encode_publish(session: str, position: int, parts: Sequence[Buffer]) -> bytes:
    """A `PublishRequest`."""
    head = _bytes_header(_SESSION, len(session.encode())) + session.encode() if session else b""
    return b"".join([head, *_run(_PUBLISH_POSITION, _PUBLISH_CONTENT, position, parts)])


def encode_fetch(position: int, parts: Sequence[Buffer]) -> bytes:
    """A `FetchResponse`."""
    return b"".join(_run(_FETCH_POSITION, _FETCH_CONTENT, position, parts))


def decode_publish(message: bytes) -> tuple[str, int, memoryview]:
    """The session ("" if unset), the position, and a view of the content.

    Raises:
        FrameError: it is no `PublishRequest`, or holds too much.
    """
    session, position, content = "", 0, memoryview(b"")
    for number, value in _fields(memoryview(message)):
        if number == _SESSION and isinstance(value, memoryview):
            session = _text(value)
        elif number == _PUBLISH_POSITION and isinstance(value, int):
            position = value
        elif number == _PUBLISH_CONTENT and isinstance(value, memoryview):
            content = value
    return session, position, _bounded(content)


def decode_fetch(message: bytes) -> tuple[int, memoryview]:
    """The position of a `FetchResponse`, and a view of its content.

    Raises:
        FrameError: it is no `FetchResponse`, or holds too much.
    """
    position, content = 0, memoryview(b"")
    for number, value in _fields(memoryview(message)):
        if number == _FETCH_POSITION and isinstance(value, int):
            position = value
        elif number == _FETCH_CONTENT and isinstance(value, memoryview):
            content = value
    return position, _bounded(content)


def _bounded(content: memoryview) -> memoryview:
    if len(content) > PIECE_BYTES:
        raise FrameError(f"a message holds more than {PIECE_BYTES} bytes of blobs")
    return content


def _run(
    position_field: int, content_field: int, position: int, parts: Sequence[Buffer]
) -> Sequence[Buffer]:
    head = bytes([position_field << 3 | _VARINT]) + _varint(position) if position else b""
    size = sum(map(len, parts))
    return [head + _bytes_header(content_field, size), *parts] if size else [head]


def _bytes_header(number: int, size: int) -> bytes:
    return bytes([number << 3 | _LENGTH]) + _varint(size)


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
