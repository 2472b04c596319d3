"""Every call with anything a client may send: one sentence back, in time, and nothing is lost."""

from collections.abc import Iterator
from typing import Final

import pytest
from google.protobuf.message import Message
from hostile import damaged, filled
from hub_target import Status, Target, assert_plain, assert_well, callers, requests, targeted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_calls import EXCHANGE, METHODS, WATCH, call

QUIET: Final = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with targeted(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


@pytest.mark.parametrize("path", METHODS)
def test_any_values_get_a_result_or_a_sentence(target: Target, path: str) -> None:
    @settings(QUIET, max_examples=20 if path == WATCH else 120)
    @given(callers, requests(path, target.pools))
    def send(caller: str, sent: list[Message]) -> None:
        assert_plain(path, target.call(caller, path, [it.SerializeToString() for it in sent]))

    send()
    assert_well(target)


@pytest.mark.parametrize("path", METHODS)
def test_bytes_that_are_no_message_get_a_sentence(target: Target, path: str) -> None:
    whole = filled(METHODS[path].input_type).SerializeToString()

    @settings(QUIET, max_examples=20 if path == WATCH else 120)
    @given(callers, st.binary(max_size=300) | damaged(whole))
    def send(caller: str, garbage: bytes) -> None:
        assert_plain(path, target.call(caller, path, [garbage]))

    send()
    assert_well(target)


def test_what_was_sent_before_costs_no_memory(target: Target) -> None:
    """The same messages again: what the hub keeps of each is bounded."""
    mixed = [
        (path, filled(method.input_type).SerializeToString() + bytes([0x7A, 100]) + bytes(100))
        for path, method in METHODS.items()
        if path != WATCH
    ]

    def send_all() -> int:
        for _ in range(60):
            for path, message in mixed:
                target.call("island-0", path, [message])
        return target.resident_bytes()

    before = send_all()
    assert send_all() - before < 8 << 20


GREEDY = {
    "Fetch": (b"\x1a\0" * 8_000_000, "a FetchRequest of 16000000 bytes, the limit is 2097152"),
    "Fetch, fewer": (b"\x1a\0" * 65_537, "65537 ranges in one call, the limit is 65536"),
    "Watch": (b"\x0a\0" * 8_000_000, "a WatchRequest of 16000000 bytes, the limit is 65536"),
    "Watch, fewer": (b"\x0a\0" * 65, "65 prefixes in one call, the limit is 64"),
    "Drop": (b"\x0a\0" * 4097, "4097 refs in one call, the limit is 4096"),
    "Missing": (b"\x0a\xff", "the 2 bytes sent are no MissingRequest"),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_list_beyond_its_limit_is_refused_before_it_is_read(target: Target, kind: str) -> None:
    """8 million empty ranges took a hub a GB of memory, and 15 s in which it answered nobody."""
    message, sentence = GREEDY[kind]
    path = f"{EXCHANGE}/{kind.partition(',')[0]}"
    before = target.resident_bytes()
    answer = call(target.channels["island-0"], path, [message])
    assert (answer.code, answer.sentence) == (Status.INVALID_ARGUMENT, sentence)
    assert target.resident_bytes() - before < 100 << 20
    assert_well(target)
