"""Two ends of different versions, and two ends with different clocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import torch
from forwarding import LATER, Change, Version, forwarding, same, with_later_fields
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hub_process import HubProcess, finish
from identities import Household
from parcels import Parcel, parcels
from raw_calls import EXCHANGE, METHODS, PROGRESS, WATCH, Answer, call

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api.exit_codes import ExitCode
from atoll_api.hub_order import IdentityFiles
from atoll_api.names import Process, Ref, snapshot_ref
from atoll_operator import progress
from atoll_operator.identity import LIFETIME, write
from atoll_worker.errors import CorruptArtifactError, FinalError, IdentityError, RejectedError
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.content import digest_of
from atoll_worker.exchange.identity import load
from atoll_worker.ports import Artifact, ProgressReport

REF = Ref("experts/0")
LATE = snapshot_ref(1, 0)
STEP = Ref("checkpoints/island-0/1")
ARTIFACT = Artifact({"x": torch.arange(1000), "y": torch.ones(3)}, {"step": 7})
PATIENCE = Patience(60.0, 60.0)
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path_factory.mktemp("skew"), neighbours=((1,), (0,)))
    process.start()
    yield process
    process.kill()


@pytest.fixture(autouse=True)
def nothing_is_bound(hub: HubProcess) -> None:
    with hub.household.channel(hub.address, "operator") as channel:
        dropped = pb.DropRequest(refs=[REF, STEP]).SerializeToString()
        assert call(channel, f"{EXCHANGE}/Drop", [dropped]).ok


def later(path: str, answer: bytes) -> bytes:
    return with_later_fields(METHODS[path].output_type, answer)


@contextmanager
def another_version(
    hub: HubProcess,
    answers: Change = same,
    unknown: str = "",
    role: str = "island",
    notice: bytes = b"",
) -> Iterator[str]:
    """The address of a hub that says something else."""
    version = Version(answers, {unknown}, notice)
    with (
        hub.household.channel(hub.address, role) as channel,
        forwarding(channel, hub.household.credentials("hub"), version) as address,
    ):
        yield address


def island(hub: HubProcess, address: str) -> ExchangeClient:
    return ExchangeClient(address, hub.household.credentials("island"), PATIENCE)


def conversation(session: str, digest: str, parcel: Parcel) -> list[tuple[str, bytes]]:
    """A call of every method, in an order in which each has something to say."""
    end = len(parcel.content)
    manifest = parcel.manifest.to_bytes()
    step = progress_pb.StepProgress(
        step_name="island-0", done_count=3, training_wire=[progress_pb.WireBytes(peer="hub")]
    )
    messages = {
        f"{EXCHANGE}/Missing": pb.MissingRequest(ref=REF, manifest=manifest),
        f"{EXCHANGE}/Publish": pb.PublishRequest(session_id=session, content=parcel.content),
        f"{EXCHANGE}/Bind": pb.BindRequest(session_id=session),
        f"{EXCHANGE}/Excuse": pb.ExcuseRequest(ref=LATE),
        f"{EXCHANGE}/Hold": pb.HoldRequest(ref=REF, manifest=manifest, address="a:1"),
        f"{EXCHANGE}/Resolve": pb.ResolveRequest(ref=REF),
        f"{EXCHANGE}/Fetch": pb.FetchRequest(
            ref=REF, manifest_digest=digest, ranges=[pb.ByteRange(begin=1, end=end)]
        ),
        f"{EXCHANGE}/Want": pb.WantRequest(ref=REF),
        WATCH: pb.WatchRequest(prefixes=["experts/"]),
        f"{EXCHANGE}/Drop": pb.DropRequest(refs=[STEP]),
        f"{PROGRESS}/Report": progress_pb.ReportRequest(progress=step),
        f"{PROGRESS}/GetSnapshot": progress_pb.GetSnapshotRequest(),
    }
    assert messages.keys() == METHODS.keys()
    return [(path, message.SerializeToString()) for path, message in messages.items()]


def told(path: str, answer: Answer) -> tuple[str, grpc.StatusCode, list[Message]]:
    """What this version understands of an answer."""
    kind = GetMessageClass(METHODS[path].output_type)
    found = [kind.FromString(it) for it in answer.messages]
    for message in found:
        message.DiscardUnknownFields()  # reports are handed on whole
    return path, answer.code, found


def test_a_newer_client_is_answered_as_an_older_one(hub: HubProcess) -> None:
    """Fields of a later version in every message, and in all that a message holds."""
    parcel = parcels(0)[0]
    session = digest_of(f"{REF} {parcel.digest}".encode())

    def talk(change: Change) -> list[tuple[str, grpc.StatusCode, list[Message]]]:
        nothing_bound = pb.DropRequest(refs=[REF, LATE]).SerializeToString()
        with (
            hub.household.channel(hub.address, "operator") as operator,
            hub.household.channel(hub.address, "island") as channel,
        ):
            assert call(operator, f"{EXCHANGE}/Drop", [nothing_bound]).ok
            found = [
                told(path, call(channel, path, [change(path, sent)], 0.5 if path == WATCH else 60))
                for path, sent in conversation(session, parcel.digest, parcel)
            ]
            assert call(operator, f"{EXCHANGE}/Drop", [nothing_bound]).ok
            return found

    plain = talk(same)
    assert talk(lambda path, it: with_later_fields(METHODS[path].input_type, it)) == plain
    assert {code for path, code, _ in plain if path != WATCH} == {grpc.StatusCode.OK}


def test_an_older_client_reads_what_a_newer_hub_says(hub: HubProcess) -> None:
    with another_version(hub, later) as address, island(hub, address) as one:
        bound = one.publish(REF, ARTIFACT)
        one.publish(STEP, ARTIFACT)
        fetched = one.fetch(REF)
        assert torch.equal(fetched.tensors["x"], ARTIFACT.tensors["x"])
        assert fetched.metadata == ARTIFACT.metadata
        assert one.bindings()[REF] == bound
        one.drop([STEP])
        assert set(one.bindings()) == {REF}
        one.report(ProgressReport(3, 9))
    with island(hub, hub.address) as one:
        assert one.snapshot() == {"island-0": ProgressReport(3, 9)}


async def test_an_older_operator_reads_what_a_newer_hub_says(hub: HubProcess) -> None:
    with island(hub, hub.address) as one:
        bound = one.publish(REF, ARTIFACT)
        one.report(ProgressReport(4, 9))
    with another_version(hub, later, role="operator") as address:
        operator = hub.household.identity("operator")
        steps, bindings = await progress.snapshot(address, operator)
        assert {name: it.done for name, it in steps.items()} == {"island-0": 4}
        assert {ref: it.digest for ref, it in bindings.items()} == {REF: bound.digest}
        await progress.drop(address, operator, [REF])
        assert (await progress.snapshot(address, operator))[1] == {}


def test_a_method_that_the_hub_lacks_is_unimplemented(hub: HubProcess) -> None:
    with hub.household.channel(hub.address, "island") as channel:
        for service in (EXCHANGE, PROGRESS):
            answer = call(channel, f"{service}/Later", [b""])
            assert answer.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("Missing", lambda one: one.publish(REF, ARTIFACT)),
        ("Publish", lambda one: one.publish(REF, Artifact({"new": torch.ones(7)}))),
        ("Bind", lambda one: one.publish(REF, ARTIFACT)),
        ("Resolve", lambda one: one.fetch(REF)),
        ("Fetch", lambda one: one.fetch(STEP)),
        ("Drop", lambda one: one.drop([STEP])),
    ],
)
def test_a_client_whose_hub_lacks_a_method_says_to_update_it(
    hub: HubProcess, method: str, ask: Callable[[ExchangeClient], object]
) -> None:
    with island(hub, hub.address) as one:
        one.publish(STEP, ARTIFACT)
    with (
        another_version(hub, unknown=f"{EXCHANGE}/{method}") as address,
        island(hub, address) as one,
        pytest.raises(RejectedError, match=r"the hub at .* cannot do .*: update Atoll there$"),
    ):
        ask(one)


def test_word_that_a_fetch_stands_in_line_may_say_more(hub: HubProcess) -> None:
    """Empty messages of a later version are not empty."""
    with island(hub, hub.address) as one:
        one.publish(REF, ARTIFACT)
    with (
        another_version(hub, later, notice=LATER) as address,
        island(hub, address) as one,
    ):
        assert torch.equal(one.fetch(REF).tensors["x"], ARTIFACT.tensors["x"])


def bind_parcel(hub: HubProcess, parcel: Parcel) -> None:
    with hub.household.channel(hub.address, "island") as channel:
        session = digest_of(f"{REF} {parcel.digest}".encode())
        for path, sent in conversation(session, parcel.digest, parcel)[:3]:
            assert call(channel, path, [sent]).ok


def test_an_encoding_of_a_later_version_is_kept_by_the_hub_and_refused_by_the_reader(
    hub: HubProcess,
) -> None:
    bind_parcel(hub, Parcel((b"who knows what this means",), encoding="later-9"))
    with (
        island(hub, hub.address) as one,
        pytest.raises(
            FinalError, match=r"is encoded as 'later-9', .*: update Atoll here"
        ) as caught,
    ):
        one.fetch(REF)
    assert "\n" not in str(caught.value)


def test_a_schema_of_a_later_version_is_refused_at_both_ends(hub: HubProcess) -> None:
    changed = b'{"metadata":{},"parents":[],"schema":2,"tensors":[]}'
    with hub.household.channel(hub.address, "island") as channel:
        asked = pb.MissingRequest(ref=REF, manifest=changed).SerializeToString()
        held = pb.HoldRequest(ref=REF, manifest=changed, address="a:1").SerializeToString()
        for path, sent in ((f"{EXCHANGE}/Missing", asked), (f"{EXCHANGE}/Hold", held)):
            answer = call(channel, path, [sent])
            assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
            assert answer.sentence == "the manifest has schema 2, not 1"

    def of_a_later_hub(path: str, answer: bytes) -> bytes:
        if not path.endswith("/Resolve"):
            return answer
        found = pb.ResolveResponse.FromString(answer)
        found.manifest, found.binding.manifest_digest = changed, digest_of(changed)
        return found.SerializeToString()

    bind_parcel(hub, parcels(0)[0])
    with (
        another_version(hub, of_a_later_hub) as address,
        island(hub, address) as one,
        pytest.raises(CorruptArtifactError, match=r"experts/0 cannot be read: .* schema 2, not 1"),
    ):
        one.fetch(REF)


def issued(folder: Path, ahead: timedelta) -> IdentityFiles:
    """Of an authority whose clock is so far ahead."""
    process = Process("0", "island")
    return write([Household("0", NOW + ahead).identity("island")], folder)[process]


@pytest.mark.parametrize(
    ("ahead", "message"),
    [
        (timedelta(0), ""),
        (HOUR - MINUTE, ""),
        (-HOUR, ""),
        (-LIFETIME + MINUTE, ""),
        (HOUR + MINUTE, "not valid before"),
        (2 * HOUR, "not valid before"),
        (LIFETIME, "not valid before"),
        (-LIFETIME - MINUTE, "expired at"),
        (-LIFETIME - HOUR, "expired at"),
    ],
    ids=str,
)
def test_a_clock_that_is_off_is_known_before_anybody_is_dialled(
    tmp_path: Path, ahead: timedelta, message: str
) -> None:
    files = issued(tmp_path, ahead)
    if not message:
        load(files, Process("0", "island"), NOW)
        return
    with pytest.raises(IdentityError, match=rf"{message} .* the clock says .*: set the cl") as said:
        load(files, Process("0", "island"), NOW)
    assert said.value.exit_code == ExitCode.FINAL
    assert f"{NOW:%Y-%m-%d %H:%M}" in str(said.value)


@pytest.mark.parametrize("ahead", [2 * HOUR, -LIFETIME - HOUR], ids=str)
def test_a_hub_whose_clock_is_off_does_not_start(tmp_path: Path, ahead: timedelta) -> None:
    hub = HubProcess(tmp_path)
    hub.household = Household("0", NOW + ahead)
    code, said = finish(hub.launch())
    assert code == ExitCode.FINAL
    assert "the clock says" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("ahead", [2 * HOUR, -LIFETIME - HOUR], ids=["behind", "ahead"])
def test_a_handshake_between_clocks_that_differ_ends_at_once(
    hub: HubProcess, ahead: timedelta
) -> None:
    """To this process the hub's certificate is not valid yet, or no longer."""
    elsewhen = Household("0", NOW + ahead)
    with (
        hub.household.channel(hub.address, "island") as channel,
        forwarding(channel, elsewhen.credentials("hub"), Version()) as address,
        ExchangeClient(address, elsewhen.credentials("island"), PATIENCE) as one,
        pytest.raises(
            IdentityError,
            match=r"do not accept each other's certificates .* and their clocks right to the hour$",
        ) as caught,
    ):
        one.bindings()
    assert "\n" not in str(caught.value)
