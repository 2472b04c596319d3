"""A hub in a process of its own that is sent whatever a client may send, and has to stay well."""

import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from google.protobuf.message import Message
from hostile import Pools, messages
from hub_process import HubProcess
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


@contextmanager
def targeted(folder: Path) -> Iterator[Target]:
    """A hub that has to be well to the end."""
    hub = HubProcess(folder)
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
