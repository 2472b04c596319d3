"""The hand-written bulk messages: byte for byte what the generated code writes and reads."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_worker.exchange import frames
from atoll_worker.exchange.frames import FrameError
from atoll_worker.exchange.manifest import digest_of

CHUNK = st.tuples(
    st.text(max_size=80), st.integers(0, 2**63 - 1), st.binary(max_size=300)
)  # fmt: skip
CHUNKS = st.lists(CHUNK, max_size=5)


def to_messages(chunks: list[tuple[str, int, bytes]]) -> list[pb.BlobChunk]:
    return [
        pb.BlobChunk(blob_digest=digest, offset_bytes=offset, content=content)
        for digest, offset, content in chunks
    ]


def plain(chunks: list[frames.Chunk]) -> list[tuple[str, int, bytes]]:
    return [(digest, offset, bytes(content)) for digest, offset, content in chunks]


@given(st.text(max_size=80), CHUNKS)
def test_publish_is_what_the_generated_code_writes(
    session: str, chunks: list[tuple[str, int, bytes]]
) -> None:
    expected = pb.PublishRequest(session_id=session, chunks=to_messages(chunks))
    encoded = frames.encode_publish(session, chunks)
    assert encoded == expected.SerializeToString()
    decoded_session, decoded = frames.decode_publish(encoded)
    assert (decoded_session, plain(decoded)) == (session, chunks)


@given(CHUNKS)
def test_fetch_is_what_the_generated_code_writes(chunks: list[tuple[str, int, bytes]]) -> None:
    encoded = frames.encode_fetch(chunks)
    assert encoded == pb.FetchResponse(chunks=to_messages(chunks)).SerializeToString()
    assert plain(frames.decode_fetch(encoded)) == chunks


def test_a_whole_message_is_what_the_generated_code_writes() -> None:
    content = bytes(range(256)) * 4096
    chunks = [(digest_of(content), 64 << 20, content)]
    expected = pb.PublishRequest(session_id="s", chunks=to_messages(chunks)).SerializeToString()
    assert frames.encode_publish("s", [(chunks[0][0], 64 << 20, memoryview(content))]) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_the_generated_code_reads_them_or_refused(message: bytes) -> None:
    try:
        chunks = plain(frames.decode_fetch(message))
    except FrameError:
        return
    try:
        expected = pb.FetchResponse.FromString(message)
    except DecodeError:
        return  # it also looks into fields that we skip
    assert to_messages(chunks) == list(expected.chunks)


@given(CHUNKS, st.data())
def test_a_cut_message_is_never_read_as_another(
    chunks: list[tuple[str, int, bytes]], data: st.DataObject
) -> None:
    encoded = frames.encode_fetch(chunks)
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        found = plain(frames.decode_fetch(encoded[:cut]))
    except FrameError:
        return
    assert found == chunks[: len(found)]


def test_fields_of_a_later_version_are_passed_over() -> None:
    later = b"\x7a\x02hi" + b"\x78\x05" + b"\x7d\0\0\0\0" + b"\x79\0\0\0\0\0\0\0\0"
    chunk = later + b"\x1a\x01x" + later
    message = later + b"\x0a" + bytes([len(chunk)]) + chunk
    assert plain(frames.decode_fetch(message)) == [("", 0, b"x")]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0a\x05ab", "ends within a field"),
        (b"\x0a", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "too long"),
        (b"\x08" + b"\xff" * 9 + b"\x01", "beyond 63 bits"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "field of number 0"),
        (b"\x0a\x03\x0a\x01\xff", "not UTF-8"),
        (b"\x0a\x00" * 8193, "more than 8192 runs"),
        (frames.encode_fetch([("", 0, bytes(frames.PIECE_BYTES + 1))]), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_message_is_refused(message: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        frames.decode_fetch(message)


def test_packing_fills_messages_and_bounds_their_runs() -> None:
    half = bytes(frames.PIECE_BYTES // 2)
    large = list(frames.packed([("a", 0, half), ("a", 1, half), ("b", 0, b"x")]))
    assert [len(chunks) for chunks in large] == [2, 1]
    small = list(frames.packed(("c", i, b"x") for i in range(frames.MAX_CHUNKS + 1)))
    assert [len(chunks) for chunks in small] == [frames.MAX_CHUNKS, 1]
    assert list(frames.packed([])) == []
