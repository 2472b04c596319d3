"""How requests are read: whole, or with a reason why not."""

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_worker.exchange.content import MAX_RUNS
from atoll_worker.exchange.requests import MAX_PREFIXES, MAX_REFS, Unreadable, read

BIG = (1 << 40) - 1
AT_THE_LIMIT = [
    pb.FetchRequest(ref="r" * 256, ranges=[pb.ByteRange(begin=BIG, end=BIG)] * MAX_RUNS),
    pb.DropRequest(refs=["r" * 256] * MAX_REFS),
    pb.WatchRequest(prefixes=["r" * 256] * MAX_PREFIXES),
    progress_pb.ReportRequest(progress=progress_pb.StepProgress(message="m" * 256)),
    pb.MissingRequest(manifest=bytes(4 << 20)),
]


@pytest.mark.parametrize("message", AT_THE_LIMIT, ids=lambda it: type(it).__name__)
def test_the_largest_that_is_allowed_is_read(message: Message) -> None:
    assert read(type(message), message.SerializeToString()) == message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.FetchRequest(ranges=[pb.ByteRange()] * (MAX_RUNS + 1)), "65537 ranges in one call"),
        (pb.DropRequest(refs=[""] * (MAX_REFS + 1)), "4097 refs in one call, the limit is 4096"),
        (pb.WatchRequest(prefixes=[""] * (MAX_PREFIXES + 1)), "65 prefixes in one call"),
        (pb.WatchRequest(prefixes=["x" * 65_536]), "a WatchRequest of 65540 bytes, the limit is"),
    ],
)
def test_one_more_is_refused(message: Message, reason: str) -> None:
    found = read(type(message), message.SerializeToString())
    assert isinstance(found, Unreadable)
    assert reason in found.sentence


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_unreadable(content: bytes) -> None:
    found = read(pb.ResolveRequest, content)
    unreadable = Unreadable(f"the {len(content)} bytes sent are no ResolveRequest")
    assert isinstance(found, pb.ResolveRequest) or found == unreadable
