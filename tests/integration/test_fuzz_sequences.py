"""Any calls in any order by several callers: what a model of the hub says is what the hub does."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import grpc
import pytest
from hub_process import HubProcess
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from parcels import Parcel, parcels
from raw_calls import EXCHANGE, PROGRESS, Answer, call

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api.exit_codes import ExitCode
from atoll_api.names import Process
from atoll_worker.exchange.access import Action, may
from atoll_worker.exchange.content import Run

Status = grpc.StatusCode
CALLERS: Final = {
    f"{role}-{index}": Process("0", role, index)
    for role, index in (("island", 0), ("island", 1), ("partition", 0), ("cli", 0), ("operator", 0))
}
REFS: Final = ("experts/0", "experts/1", "checkpoints/island-0/1", "init")
BINDERS: Final = {"experts/0": "island-0", "experts/1": "island-1", "init": "partition-0"}
SALTS: Final = itertools.count()
"""Every example has bytes of its own: what an earlier one left changes nothing."""

callers = st.sampled_from(list(CALLERS))
refs = st.sampled_from(REFS)
kinds = st.integers(0, 4)


def binder(ref: str) -> str:
    return BINDERS.get(ref, "island-0")


@dataclass
class Model:
    """What should be bound, and where the bytes should be."""

    bound: dict[str, Parcel] = field(default_factory=dict)
    published: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Hub:
    """A hub and its callers."""

    process: HubProcess
    channels: Mapping[str, grpc.Channel]

    def call(self, caller: str, method: str, *sent: bytes) -> Answer:
        answer = call(self.channels[caller], method, sent)
        assert answer.ok or answer.sentence.strip(), answer
        never = {Status.UNKNOWN, Status.INTERNAL, Status.DEADLINE_EXCEEDED}
        assert answer.code not in never, answer
        return answer


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    process = HubProcess(tmp_path_factory.mktemp("sequences"))
    process.start()
    with ExitStack() as stack:
        channels = {
            name: stack.enter_context(process.household.channel(process.address, it.role, it.index))
            for name, it in CALLERS.items()
        }
        yield Hub(process, channels)
    code, said = process.terminate()
    assert (code, said.count("\n")) == (ExitCode.DISRUPTED, 1), "the hub logged a traceback"


class Conversation(RuleBasedStateMachine):
    """One hub, and a model of what it holds."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub
        self.model = Model()
        self.made = parcels(next(SALTS))
        self.sessions: list[tuple[str, str, Parcel]] = []
        """(session, ref, parcel) of every upload that was opened."""
        hub.call("operator-0", f"{EXCHANGE}/Drop", dropping(REFS))

    def allowed(self, caller: str, action: Action, ref: str) -> bool:
        return may(CALLERS[caller], action, ref, "0")

    def refused(self, answer: Answer, caller: str, action: Action, ref: str) -> bool:
        """Whether the caller may not, and was told so."""
        denied = not self.allowed(caller, action, ref)
        assert denied == (answer.code is Status.PERMISSION_DENIED), answer
        return denied

    @rule(caller=callers | refs.map(binder), ref=refs, kind=kinds)
    def open(self, caller: str, ref: str, kind: int) -> None:
        parcel = self.made[kind]
        request = pb.MissingRequest(ref=ref, manifest=parcel.manifest.to_bytes())
        answer = self.hub.call(caller, f"{EXCHANGE}/Missing", request.SerializeToString())
        if self.refused(answer, caller, Action.BIND, ref):
            return
        found = pb.MissingResponse.FromString(answer.messages[0])
        self.sessions.append((found.session_id, ref, parcel))
        parcel.manifest.content.check([Run(it.begin, it.end) for it in found.missing])
        standing = self.model.bound.get(ref)
        if standing is not None and (standing != parcel or ref in self.model.published):
            assert not found.missing

    @rule(ref=refs, kind=kinds)
    def publish(self, ref: str, kind: int) -> None:
        """As an honest client does."""
        self.open(binder(ref), ref, kind)
        self.send(-1, "right")
        self.bind(-1, binder(ref))

    @rule(
        which=st.integers(-3, -1),
        how=st.sampled_from(["right", "cut", "altered", "moved", "twice", "nothing"]),
    )
    def send(self, which: int, how: str) -> None:
        """What the hub says it lacks, or nearly that."""
        if not self.sessions:
            return
        _, ref, parcel = self.sessions[which % len(self.sessions)]
        request = pb.MissingRequest(ref=ref, manifest=parcel.manifest.to_bytes())
        answer = self.hub.call(binder(ref), f"{EXCHANGE}/Missing", request.SerializeToString())
        missing = pb.MissingResponse.FromString(answer.messages[0])
        sent = list(pieces(missing, parcel.content, how))
        answer = self.hub.call(binder(ref), f"{EXCHANGE}/Publish", *sent)
        if not sent or how in ("right", "cut"):
            assert answer.ok, answer
        elif how == "altered":
            assert answer.code is Status.DATA_LOSS, answer
        elif how != "nothing":
            assert answer.code is Status.INVALID_ARGUMENT, answer

    @rule(
        which=st.integers(-3, -1),
        caller=callers,
        position=st.sampled_from([1 << 40, (1 << 63) - 1]),
    )
    def send_elsewhere(self, which: int, caller: str, position: int) -> None:
        """To a session that may be another's or have ended, and where nothing is missing."""
        if not self.sessions:
            return
        session, ref, _ = self.sessions[which % len(self.sessions)]
        sent = pb.PublishRequest(session_id=session, position_bytes=position, content=b"no")
        answer = self.hub.call(caller, f"{EXCHANGE}/Publish", sent.SerializeToString())
        if answer.code is not Status.ABORTED:
            self.refused(answer, caller, Action.BIND, ref)
            assert not answer.ok, answer

    @rule(which=st.integers(-3, -1), caller=callers | st.none())
    def bind(self, which: int, caller: str | None) -> None:
        if not self.sessions:
            return
        session, ref, parcel = self.sessions[which % len(self.sessions)]
        caller = caller or binder(ref)
        request = pb.BindRequest(session_id=session).SerializeToString()
        answer = self.hub.call(caller, f"{EXCHANGE}/Bind", request)
        if answer.code is Status.ABORTED or self.refused(answer, caller, Action.BIND, ref):
            return
        digest = pb.BindResponse.FromString(answer.messages[0]).binding.manifest_digest
        assert digest == self.model.bound.setdefault(ref, parcel).digest
        if digest == parcel.digest:
            self.model.published.add(ref)

    @rule(caller=callers | refs.map(binder), ref=refs, kind=kinds)
    def hold(self, caller: str, ref: str, kind: int) -> None:
        parcel = self.made[kind]
        request = pb.HoldRequest(ref=ref, manifest=parcel.manifest.to_bytes(), address="a:1")
        answer = self.hub.call(caller, f"{EXCHANGE}/Hold", request.SerializeToString())
        if not self.refused(answer, caller, Action.BIND, ref):
            digest = pb.HoldResponse.FromString(answer.messages[0]).binding.manifest_digest
            assert digest == self.model.bound.setdefault(ref, parcel).digest

    @rule(caller=callers, ref=refs)
    def resolve(self, caller: str, ref: str) -> None:
        request = pb.ResolveRequest(ref=ref).SerializeToString()
        answer = self.hub.call(caller, f"{EXCHANGE}/Resolve", request)
        if self.refused(answer, caller, Action.READ, ref):
            return
        assert answer.ok == (ref in self.model.bound), answer
        if answer.ok:
            found = pb.ResolveResponse.FromString(answer.messages[0])
            assert found.manifest == self.model.bound[ref].manifest.to_bytes()
            assert found.place.here >= (ref in self.model.published)

    @rule(caller=callers, ref=refs)
    def want(self, caller: str, ref: str) -> None:
        request = pb.WantRequest(ref=ref).SerializeToString()
        answer = self.hub.call(caller, f"{EXCHANGE}/Want", request)
        if not self.refused(answer, caller, Action.READ, ref):
            assert answer.ok == (ref in self.model.bound), answer

    @rule(caller=callers, ref=refs, ends=st.lists(st.integers(-1, 400), max_size=6))
    def fetch(self, caller: str, ref: str, ends: Sequence[int]) -> None:
        """Runs as they come, most of them none of this artifact."""
        parcel = self.model.bound.get(ref, self.made[0])
        runs = list(zip(ends[::2], ends[1::2], strict=False))
        answer = read(self.hub, caller, ref, parcel, runs)
        if self.refused(answer, caller, Action.READ, ref) or ref not in self.model.published:
            return
        reached = [0, *itertools.chain.from_iterable(runs), len(parcel.content)]
        assert answer.ok == (
            reached == sorted(reached) and all(begin < end for begin, end in runs)
        ), answer
        if answer.ok:
            assert content(answer) == b"".join(parcel.content[i:j] for i, j in runs)

    @rule(caller=callers, named=st.lists(refs, max_size=4))
    def drop(self, caller: str, named: Sequence[str]) -> None:
        answer = self.hub.call(caller, f"{EXCHANGE}/Drop", dropping(named))
        if answer.code is Status.PERMISSION_DENIED:
            assert not all(self.allowed(caller, Action.DROP, ref) for ref in named)
            return
        gone = list(pb.DropResponse.FromString(answer.messages[0]).refs)
        assert gone == [ref for ref in dict.fromkeys(named) if ref in self.model.bound]
        for ref in gone:
            del self.model.bound[ref]
            self.model.published.discard(ref)

    @invariant()
    def what_is_bound_is_bound(self) -> None:
        assert_as(self.hub, self.model, "digests")

    def teardown(self) -> None:
        assert_as(self.hub, self.model, "content")


def read(
    hub: Hub, caller: str, ref: str, parcel: Parcel, runs: Sequence[tuple[int, int]]
) -> Answer:
    ranges = [pb.ByteRange(begin=begin, end=end) for begin, end in runs]
    request = pb.FetchRequest(ref=ref, manifest_digest=parcel.digest, ranges=ranges)
    return hub.call(caller, f"{EXCHANGE}/Fetch", request.SerializeToString())


def content(answer: Answer) -> bytes:
    return b"".join(pb.FetchResponse.FromString(it).content for it in answer.messages)


def dropping(named: Sequence[str]) -> bytes:
    return pb.DropRequest(refs=named).SerializeToString()


def pieces(missing: pb.MissingResponse, whole: bytes, how: str) -> Iterator[bytes]:
    """The messages of an upload that is as it should be, or not quite."""
    session = missing.session_id
    runs = [] if how == "nothing" else [(it.begin, it.end) for it in missing.missing]
    runs = [
        (at, min(end, at + (1 << 20))) for begin, end in runs for at in range(begin, end, 1 << 20)
    ]
    if how == "cut":
        runs = [(begin, (begin + end + 1) // 2) for begin, end in runs[:1]]
    if how == "twice":
        runs = runs[:1] * 2
    for begin, end in runs:
        sent = bytes(reversed(whole[begin:end])) if how == "altered" else whole[begin:end]
        sent = sent if how != "altered" or sent != whole[begin:end] else bytes(end - begin)
        position = begin + (how == "moved")
        yield pb.PublishRequest(
            session_id=session, position_bytes=position, content=sent
        ).SerializeToString()


def assert_as(hub: Hub, model: Model, what: str) -> None:
    """The hub binds what the model says; and, on demand, each byte of it is there."""
    answer = hub.call("cli-0", f"{PROGRESS}/GetSnapshot", b"")
    found = progress_pb.GetSnapshotResponse.FromString(answer.messages[0]).bindings
    expected = {ref: parcel.digest for ref, parcel in model.bound.items()}
    assert {it.ref: it.manifest_digest for it in found} == expected
    if what == "digests":
        return
    for ref in model.published:
        parcel = model.bound[ref]
        runs = [(0, len(parcel.content))] if parcel.content else []
        answer = read(hub, "cli-0", ref, parcel, runs)
        assert (answer.code, content(answer)) == (Status.OK, parcel.content)


def test_any_calls_in_any_order(hub: Hub) -> None:
    profile = settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    # Any callable that makes a machine will do; its type says less.
    run_state_machine_as_test(lambda: Conversation(hub), settings=profile)  # type: ignore[arg-type]


def test_what_they_left_is_there_after_a_kill(hub: Hub) -> None:
    machine = Conversation(hub)
    for ref, kind in zip(REFS, (0, 1, 3, 4), strict=True):
        machine.publish(ref, kind)
    machine.drop("operator-0", ["experts/1"])
    machine.hold("island-1", "experts/1", 2)
    assert set(machine.model.bound) == set(REFS)
    hub.process.kill()
    hub.process.start()
    assert_as(hub, machine.model, "content")
