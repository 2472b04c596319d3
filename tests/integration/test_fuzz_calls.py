"""Every call with anything a client may send: one sentence back, in time, and nothing is lost."""

import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import pytest
from google.protobuf.message import Message
from hostile import Pools, damaged, filled, messages
from hub_process import HubProcess
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parcels import Parcel, parcels
from raw_calls import EXCHANGE, METHODS, WATCH, Answer, call

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll_api.exit_codes import ExitCode

Status = grpc.StatusCode
REFUSALS: Final = {
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.FAILED_PRECONDITION,
    Status.ABORTED,
    Status.RESOURCE_EXHAUSTED,
    Status.DATA_LOSS,
    Status.PERMISSION_DENIED,
}
"""All that exchange.proto allows to a server that is well and to a caller of the job."""
MAX_SENTENCE_CHARACTERS: Final = 1000
WATCH_SECONDS: Final = 0.1
CALLERS: Final = (("partition", 0), ("island", 0), ("island", 1), ("evaluate", 0), ("stranger", 0))
QUIET: Final = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
KEPT: Final = Parcel((b"what was bound before stays", b"whatever is sent" * 99))


@dataclass(frozen=True)
class Target:
    """A hub, a connection to it for each caller, and names that mean something there."""

    hub: HubProcess
    channels: Mapping[str, grpc.Channel]
    pools: Pools

    def call(self, caller: str, path: str, requests: Sequence[bytes]) -> Answer:
        seconds = WATCH_SECONDS if path == WATCH else 60.0
        return call(self.channels[caller], path, requests, seconds)

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.hub.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    hub = HubProcess(tmp_path_factory.mktemp("fuzz"))
    hub.start()
    with ExitStack() as stack:
        channels = {
            f"{role}-{index}": stack.enter_context(hub.household.channel(hub.address, role, index))
            for role, index in (*CALLERS, ("cli", 0), ("operator", 0))
        }
        bind(channels["partition-0"], "init", KEPT)
        yield Target(hub, channels, pools(channels))
    code, said = hub.terminate()
    assert (code, said.count("\n")) == (ExitCode.DISRUPTED, 1), "the hub logged a traceback"


def opened(channel: grpc.Channel, ref: str, parcel: Parcel) -> pb.MissingResponse:
    request = pb.MissingRequest(ref=ref, manifest=parcel.manifest.to_bytes())
    answer = call(channel, f"{EXCHANGE}/Missing", [request.SerializeToString()])
    return pb.MissingResponse.FromString(answer.messages[0])


def bind(channel: grpc.Channel, ref: str, parcel: Parcel) -> None:
    session = opened(channel, ref, parcel).session_id
    sent = pb.PublishRequest(session_id=session, content=parcel.content).SerializeToString()
    assert call(channel, f"{EXCHANGE}/Publish", [sent]).ok
    request = pb.BindRequest(session_id=session).SerializeToString()
    assert call(channel, f"{EXCHANGE}/Bind", [request]).ok


def pools(channels: Mapping[str, grpc.Channel]) -> Pools:
    """Refs, uploads that are open, digests and manifests, some of them of other callers."""
    made = parcels(0)
    refs = {"experts/0": "island-0", "experts/1": "island-1", "checkpoints/island-0/1": "island-0"}
    sessions = [opened(channels[who], ref, made[0]).session_id for ref, who in refs.items()]
    digests = ["blake3:" + "0" * 64, KEPT.digest, *(it.digest for it in made)]
    return {
        "ref": ["init", *refs, "experts/0", "checkpoints/island-0/1"],
        "refs": ["init", *refs],
        "session_id": sessions,
        "manifest": [it.manifest.to_bytes() for it in made],
        "manifest_digest": digests,
        "address": ["127.0.0.1:1", "[::1]:1", "host:99999999999", "unix:/tmp/x:1", "h\n:1"],
        "prefixes": ["", "i", "init", "experts/"],
        "step_name": ["island-0", "island-0", "evaluate"],
        "content": [made[0].content, made[0].content[:7], made[1].content],
        "position_bytes": [0, 7, len(made[0].content)],
        "begin": [0, 1, len(KEPT.content)],
        "end": [1, 2, len(KEPT.content), len(KEPT.content) + 1],
    }


def assert_plain(path: str, answer: Answer) -> None:
    """A result, or a refusal with a sentence that fits into a log."""
    if answer.ok or (path == WATCH and answer.code is Status.DEADLINE_EXCEEDED):
        return
    assert answer.code in REFUSALS, answer
    assert 0 < len(answer.sentence.strip()) <= MAX_SENTENCE_CHARACTERS, answer


def assert_well(target: Target) -> None:
    """What was bound is still there, whole, and the hub answers."""
    request = pb.FetchRequest(
        ref="init",
        manifest_digest=KEPT.digest,
        ranges=[pb.ByteRange(begin=0, end=len(KEPT.content))],
    )
    answer = target.call("cli-0", f"{EXCHANGE}/Fetch", [request.SerializeToString()])
    assert answer.ok, answer
    found = b"".join(pb.FetchResponse.FromString(it).content for it in answer.messages)
    assert found == KEPT.content


# Mostly one that may do much to the names in the pools.
callers = st.sampled_from(["island-0"] * 8 + [f"{role}-{index}" for role, index in CALLERS])


def requests(path: str, known: Pools) -> st.SearchStrategy[list[Message]]:
    """What a client may stream to a method; one message where it takes one."""
    method = METHODS[path]
    most = 4 if method.client_streaming else 1
    return st.lists(messages(method.input_type, known), min_size=1, max_size=most)


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
