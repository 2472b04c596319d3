"""The hand-written bulk messages: byte for byte what the generated code writes and reads."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_worker.exchange import frames
from atoll_worker.exchange.content import PIECE_BYTES
from atoll_worker.exchange.frames import FrameError

POSITION = st.integers(0, 2**63 - 1)
PARTS = st.lists(st.binary(max_size=300), max_size=5)


def read(message: bytes) -> tuple[int, bytes]:
    position, content = frames.decode_fetch(message)
    return position, bytes(content)


@given(st.text(max_size=80), POSITION, PARTS)
def test_publish_is_what_the_generated_code_writes(
    session: str, position: int, parts: list[bytes]
) -> None:
    content = b"".join(parts)
    message = pb.PublishRequest(session_id=session, position_bytes=position, content=content)
    encoded = frames.encode_publish(session, position, parts)
    assert encoded == message.SerializeToString()
    found = frames.decode_publish(encoded)
    assert (*found[:2], bytes(found[2])) == (session, position, content)


@given(POSITION, PARTS)
def test_fetch_is_what_the_generated_code_writes(position: int, parts: list[bytes]) -> None:
    content = b"".join(parts)
    encoded = frames.encode_fetch(position, parts)
    message = pb.FetchResponse(position_bytes=position, content=content)
    assert encoded == message.SerializeToString()
    assert read(encoded) == (position, content)


def test_a_whole_message_is_what_the_generated_code_writes() -> None:
    content = bytes(range(256)) * 4096
    expected = pb.PublishRequest(session_id="s", position_bytes=64 << 20, content=content)
    halves = [memoryview(content)[:1000], memoryview(content)[1000:]]
    assert frames.encode_publish("s", 64 << 20, halves) == expected.SerializeToString()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_the_generated_code_reads_them_or_refused(message: bytes) -> None:
    try:
        found = read(message)
    except FrameError:
        return
    try:
        expected = pb.FetchResponse.FromString(message)
    except DecodeError:
        return  # it also looks into fields that we skip
    assert found == (expected.position_bytes, expected.content)


@given(POSITION, PARTS, st.data())
def test_a_cut_message_is_never_read_as_another(
    position: int, parts: list[bytes], data: st.DataObject
) -> None:
    encoded = frames.encode_fetch(position, parts)
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        found = read(encoded[:cut])
    except FrameError:
        return
    assert found in {(position, b"".join(parts)), (position, b""), (0, b"")}


def test_fields_of_a_later_version_are_passed_over() -> None:
    later = b"\x7a\x02hi" + b"\x78\x05" + b"\x7d\0\0\0\0" + b"\x79\0\0\0\0\0\0\0\0"
    assert read(later + b"\x12\x01x" + later + b"\x08\x05") == (5, b"x")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x12\x05ab", "ends within a field"),
        (b"\x12", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "too long"),
        (b"\x08" + b"\xff" * 9 + b"\x01", "beyond 63 bits"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "field of number 0"),
        (frames.encode_fetch(0, [bytes(PIECE_BYTES), b"x"]), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_message_is_refused(message: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        frames.decode_fetch(message)


def test_a_session_that_is_no_text_is_refused() -> None:
    with pytest.raises(FrameError, match="not UTF-8"):
        frames.decode_publish(b"\x0a\x01\xff")
