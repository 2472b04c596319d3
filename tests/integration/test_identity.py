"""Who gets in, and how far, over real sockets: each refusal has a status and names the thing."""

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from hub_process import HubProcess, finish
from identities import Household, open_channel

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api.exit_codes import ExitCode
from atoll_api.names import Ref
from atoll_operator import progress
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import CLOCK_SKEW, LIFETIME
from atoll_worker.errors import IdentityError, RejectedError
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.identity import Credentials
from atoll_worker.ports import Artifact

PATIENCE = Patience(60.0, 60.0)
SECRET = Artifact({"x": torch.arange(1000.0)})


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("identity") / "run")
    hub.start()
    with client(hub, "partition") as partition:
        partition.publish(Ref("assignment/0"), SECRET)
        partition.publish(Ref("assignment/1"), Artifact({"x": torch.zeros(3)}))
    yield hub
    hub.kill()


def client(hub: HubProcess, role: str, index: int = 0) -> ExchangeClient:
    return ExchangeClient(hub.address, hub.household.credentials(role, index), PATIENCE)


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def resolve(channel: grpc.Channel, ref: str = "assignment/0") -> object:
    return exchange_grpc.ExchangeServiceStub(channel).Resolve(
        pb.ResolveRequest(ref=ref), timeout=30
    )


def test_plaintext_gets_nowhere(hub: HubProcess) -> None:
    with grpc.insecure_channel(hub.address) as channel:
        assert refused(lambda: resolve(channel))[0] == grpc.StatusCode.UNAVAILABLE


def test_tls_without_a_certificate_gets_nowhere(hub: HubProcess) -> None:
    proof = hub.household.credentials("island")
    bare = grpc.ssl_channel_credentials(proof.authority)
    options = (("grpc.ssl_target_name_override", proof.hub.host),)
    with grpc.secure_channel(hub.address, bare, options) as channel:
        assert refused(lambda: resolve(channel))[0] == grpc.StatusCode.UNAVAILABLE


def _of(household: Household, trusting: Household, role: str = "island") -> Credentials:
    """Someone of one household who trusts the authority of another."""
    own = household.credentials(role)
    return Credentials(
        own.process, own.certificate, own.key, trusting.credentials("island").authority
    )


_NOW = datetime.now(UTC)
STRANGERS = {
    "of an earlier run": Household("0"),
    "of another job": Household("job-2"),
    "expired": Household("0", _NOW - LIFETIME - timedelta(days=1)),
    "not yet valid": Household("0", _NOW + CLOCK_SKEW + timedelta(days=1)),
}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("trusts_the_hub", [False, True])
def test_a_stranger_ends_at_once_with_one_line(
    hub: HubProcess, kind: str, *, trusts_the_hub: bool
) -> None:
    stranger = STRANGERS[kind].credentials("island")
    if trusts_the_hub:
        stranger = _of(STRANGERS[kind], hub.household)
    with (
        ExchangeClient(hub.address, stranger, PATIENCE) as one,
        pytest.raises(
            IdentityError, match=r"and island-0 do not accept each other's cert"
        ) as caught,
    ):
        one.bindings()
    assert caught.value.exit_code == ExitCode.FINAL
    assert hub.address in str(caught.value)


def test_the_hub_s_own_certificate_opens_nothing(hub: HubProcess) -> None:
    with hub.household.channel(hub.address, "hub") as channel:
        assert refused(lambda: resolve(channel))[0] == grpc.StatusCode.UNAVAILABLE


async def test_an_operator_of_another_run_hears_nothing(hub: HubProcess) -> None:
    with pytest.raises(HubUnavailableError, match="did not answer"):
        await progress.snapshot(hub.address, Household("0").identity("operator"))


def test_another_s_part_cannot_be_read(hub: HubProcess) -> None:
    with client(hub, "island", 1) as island:
        assert torch.equal(island.fetch(Ref("assignment/1")).tensors["x"], torch.zeros(3))
        with pytest.raises(RejectedError, match=r"^island-1 may not read assignment/0$"):
            island.fetch(Ref("assignment/0"))
        with pytest.raises(RejectedError, match=r"^island-1 may not bind experts/0$"):
            island.publish(Ref("experts/0"), SECRET)
        with pytest.raises(RejectedError, match=r"^island-1 may not drop assignment/1$"):
            island.drop([Ref("assignment/1")])
        assert set(island.bindings()) == {"assignment/1"}


def _messages() -> dict[str, tuple[object, str]]:
    return {
        "Resolve": (pb.ResolveRequest(ref="assignment/0"), "read assignment/0"),
        "Fetch": (pb.FetchRequest(ref="assignment/0"), "read assignment/0"),
        "Missing": (pb.MissingRequest(ref="experts/0"), "bind experts/0"),
        "Drop": (pb.DropRequest(refs=["assignment/1", "assignment/0"]), "drop assignment/1"),
        "Report": (
            progress_pb.ReportRequest(progress=progress_pb.StepProgress(step_name="island-0")),
            "report for island-0",
        ),
    }


@pytest.mark.parametrize("method", _messages())
def test_a_refusal_has_a_status_and_a_sentence(hub: HubProcess, method: str) -> None:
    request, what = _messages()[method]
    with hub.household.channel(hub.address, "island", 1) as channel:
        exchange = exchange_grpc.ExchangeServiceStub(channel)
        stub = exchange if hasattr(exchange, method) else progress_grpc.ProgressServiceStub(channel)
        call = getattr(stub, method)

        def answer() -> object:
            found = call(request, timeout=30)
            return list(found) if method == "Fetch" else found

        assert refused(answer) == (
            grpc.StatusCode.PERMISSION_DENIED,
            f"island-1 may not {what}",
        )


def test_a_digest_learnt_elsewhere_is_worth_nothing(hub: HubProcess) -> None:
    """Island 1 knows the manifest of island 0's part, and so all digests; it lacks the bytes."""
    manifest = encode(SECRET).manifest
    with hub.household.channel(hub.address, "island", 1) as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        request = pb.MissingRequest(ref="experts/1", manifest=manifest.to_bytes())
        missing = stub.Missing(request, timeout=30)
        whole = pb.ByteRange(begin=0, end=manifest.content.size_bytes)
        assert list(missing.missing) == [whole], "whether it is there is told to nobody"
        bind = pb.BindRequest(session_id=missing.session_id)
        code, message = refused(lambda: stub.Bind(bind, timeout=30))
        assert code == grpc.StatusCode.ABORTED
        assert f"experts/1 still lacks {whole.end} bytes" in str(message)
        own = pb.FetchRequest(
            ref="assignment/1",
            manifest_digest=stub.Resolve(
                pb.ResolveRequest(ref="assignment/1"), timeout=30
            ).binding.manifest_digest,
            ranges=[pb.ByteRange(begin=0, end=1 << 40)],
        )
        code, message = refused(lambda: list(stub.Fetch(own, timeout=30)))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert re.search(r"not after 0 and within the \d+ of the artifact", str(message))


def test_another_s_upload_cannot_be_gone_on_with(hub: HubProcess) -> None:
    manifest = encode(Artifact({"x": torch.ones(7)})).manifest
    with (
        hub.household.channel(hub.address, "island", 0) as owner,
        hub.household.channel(hub.address, "island", 1) as thief,
    ):
        request = pb.MissingRequest(ref="experts/0", manifest=manifest.to_bytes())
        session = exchange_grpc.ExchangeServiceStub(owner).Missing(request, timeout=30).session_id
        bind = pb.BindRequest(session_id=session)
        stub = exchange_grpc.ExchangeServiceStub(thief)
        denied = (grpc.StatusCode.PERMISSION_DENIED, "island-1 may not bind experts/0")
        assert refused(lambda: stub.Bind(bind, timeout=30)) == denied


def test_a_watch_tells_only_what_may_be_read(hub: HubProcess) -> None:
    with hub.household.channel(hub.address, "island", 1) as channel:
        watch = exchange_grpc.ExchangeServiceStub(channel).Watch(
            pb.WatchRequest(prefixes=[""]), timeout=60
        )
        assert next(watch).bound.binding.ref == "assignment/1"
        with client(hub, "partition") as partition:
            partition.publish(Ref("assignment/7"), SECRET)
        with client(hub, "island", 1) as island:
            island.publish(Ref("checkpoints/island-1/1"), Artifact({}))
        assert next(watch).bound.binding.ref == "checkpoints/island-1/1"


SERVICES = [pb.DESCRIPTOR, progress_pb.DESCRIPTOR]
METHODS = [
    (f"/{service.full_name}/{method.name}", method)
    for file in SERVICES
    for service in file.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("path", [path for path, _ in METHODS])
def test_no_method_answers_a_role_that_the_table_does_not_have(hub: HubProcess, path: str) -> None:
    """An empty message, from a certificate of this very run, for whatever method there is."""
    with open_channel(hub.address, hub.household.credentials("stranger")) as channel:
        call: Any = channel.stream_stream(path)
        try:
            answers = list(call(iter([b""]), timeout=30))
        except grpc.RpcError as error:
            code = error.code()
            assert code in {
                grpc.StatusCode.PERMISSION_DENIED,
                grpc.StatusCode.ABORTED,  # there is no such upload
                grpc.StatusCode.DEADLINE_EXCEEDED,  # a Watch in which nothing is ever heard
            }
        else:
            assert b"".join(answers) == b""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "hub-0.crt").unlink(), "hub-0.crt cannot be read"),
        (
            lambda folder: shutil.copy(folder / "hub-0.crt", folder / "hub-0.key"),
            "hub-0.key is no private key",
        ),
    ],
)
def test_a_hub_without_an_identity_does_not_start(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    hub = HubProcess(tmp_path / "run")
    hub.start()
    hub.kill()
    damage(hub.folder / "identity")
    code, said = finish(hub.launch(fresh=False))
    assert code == ExitCode.FINAL
    assert said.startswith("atoll: hub: ")
    assert message in said
    assert said.count("\n") == 1
