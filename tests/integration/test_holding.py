"""Refs whose bytes stay with their maker: bound at a real hub, wanted there, published later."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import torch
from hub_process import HubProcess

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll_api.names import Ref
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.encoding import encode
from atoll_worker.ports import Artifact

REF = Ref("experts/0")
ARTIFACT = Artifact({"x": torch.arange(1000)})
ADDRESS = "10.0.0.7:4711"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path)
    process.start()
    yield process
    process.kill()


def hold(channel: grpc.Channel, address: str = ADDRESS) -> pb.HoldResponse:
    manifest = encode(ARTIFACT).manifest.to_bytes()
    request = pb.HoldRequest(ref=REF, manifest=manifest, address=address)
    return exchange_grpc.ExchangeServiceStub(channel).Hold(request, timeout=30)


def test_what_is_held_is_wanted_and_then_published(hub: HubProcess) -> None:
    with (
        hub.household.channel(hub.address, "island", 0) as owner,
        hub.household.channel(hub.address, "evaluate") as reader,
    ):
        told = exchange_grpc.ExchangeServiceStub(owner).Watch(
            pb.WatchRequest(prefixes=[]), timeout=60
        )
        stub = exchange_grpc.ExchangeServiceStub(reader)
        heard = stub.Watch(pb.WatchRequest(prefixes=["experts/"]), timeout=60)
        digest = hold(owner).binding.manifest_digest
        first = next(heard).bound
        assert (first.binding.ref, first.binding.manifest_digest) == (REF, digest)
        held = pb.Place(here=False, holder_address=ADDRESS, holder_step="island-0")
        assert first.place == held
        assert stub.Resolve(pb.ResolveRequest(ref=REF), timeout=30).place == held

        fetch = pb.FetchRequest(ref=REF, manifest_digest=digest, ranges=[pb.ByteRange(end=1)])
        with pytest.raises(grpc.RpcError, match="are with who made it") as caught:
            list(stub.Fetch(fetch, timeout=30))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND

        assert stub.Want(pb.WantRequest(ref=REF), timeout=30).place == held
        assert next(told).wanted_ref == REF
        with ExchangeClient(hub.address, hub.household.credentials("island", 0)) as client:
            assert client.publish(REF, ARTIFACT).digest == digest
        last = next(it.bound for it in heard if it.bound.place.here)  # a ref may be named twice
        assert last.binding.manifest_digest == digest
        assert stub.Want(pb.WantRequest(ref=REF), timeout=30).place.here
        with ExchangeClient(hub.address, hub.household.credentials("evaluate", 0)) as client:
            assert torch.equal(client.fetch(REF).tensors["x"], ARTIFACT.tensors["x"])


def test_a_hub_that_was_killed_knows_the_ref_and_hears_of_the_holder_again(hub: HubProcess) -> None:
    with hub.household.channel(hub.address, "island", 0) as owner:
        digest = hold(owner).binding.manifest_digest
    hub.kill()
    hub.start()
    with hub.household.channel(hub.address, "island", 0) as owner:
        stub = exchange_grpc.ExchangeServiceStub(owner)
        answer = stub.Resolve(pb.ResolveRequest(ref=REF), timeout=30)
        assert answer.binding.manifest_digest == digest
        assert answer.place == pb.Place()
        assert hold(owner, "10.0.0.7:5000").binding.manifest_digest == digest
        place = stub.Resolve(pb.ResolveRequest(ref=REF), timeout=30).place
        assert place.holder_address == "10.0.0.7:5000"


NO_ADDRESSES = [
    *("", "nowhere", "host:", ":1", "host:port", "h" * 300 + ":1"),
    *("host:0", "host:65536", "host:\u0661", "unix:/run/hub:1", "a b:1", "host:1\n"),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_address_that_is_none_is_refused(hub: HubProcess, address: str) -> None:
    with (
        hub.household.channel(hub.address, "island", 0) as owner,
        pytest.raises(grpc.RpcError, match="is no address: HOST:PORT") as caught,
    ):
        hold(owner, address)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_nobody_holds_or_wants_what_is_not_theirs(hub: HubProcess) -> None:
    with hub.household.channel(hub.address, "island", 1) as other:
        for call in (
            lambda: hold(other),
            lambda: exchange_grpc.ExchangeServiceStub(other).Want(
                pb.WantRequest(ref=REF), timeout=30
            ),
        ):
            with pytest.raises(grpc.RpcError, match=r"island-1 may not (bind|read) experts/0"):
                call()
