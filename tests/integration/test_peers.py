"""Weights from island to island: a real hub in its process, islands that serve, and what breaks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
import torch
from hub_process import HubProcess
from identities import open_channel
from tcp_proxy import TcpProxy

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll.progress.v1 import progress_pb2_grpc as progress_grpc
from atoll_api import names
from atoll_api.names import Process, Ref
from atoll_worker.errors import RejectedError, UnavailableError, WorkerError
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.content import PIECE_BYTES
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.exchange.offering import Listen, Offering
from atoll_worker.ports import Artifact

MIB = 1 << 20
SIZE = 24 * MIB
REF = names.snapshot_ref(0, 1)
RING = ((1,), (0,), (1,))
"""Island 1 reads of 0, 0 of 1, and 2 of 1 only."""


def noise(seed: int) -> Artifact:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 256, (SIZE,), dtype=torch.uint8, generator=generator)
    return Artifact({"x": values}, metadata={"round": seed})


class World:
    """A hub and islands of one job."""

    def __init__(self, hub: HubProcess, stack: ExitStack) -> None:
        self.hub = hub
        self._stack = stack
        self._guard = Guard(hub.household.job_uid, Circle.of(RING))

    def client(
        self, island: int, seconds: float = 60, kind: type[ExchangeClient] = ExchangeClient
    ) -> ExchangeClient:
        credentials = self.hub.household.credentials("island", island)
        client = kind(self.hub.address, credentials, Patience(seconds, seconds))
        return self._stack.enter_context(client)

    def offering(
        self,
        island: int,
        advertised: str = "",
        as_island: int | None = None,
        client: ExchangeClient | None = None,
    ) -> Offering:
        credentials = self.hub.household.credentials("island", as_island or island)
        offering = Offering(
            client or self.client(island),
            credentials,
            self._guard,
            Listen(advertised=advertised),
            [f"islands/{neighbour}/" for neighbour in RING[island]],
        )
        return self._stack.enter_context(offering)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    hub = HubProcess(tmp_path, neighbours=RING)
    hub.start()
    with ExitStack() as stack:
        yield World(hub, stack)
    hub.kill()


def hub_bytes(world: World) -> int:
    """What the hub keeps of contents."""
    return sum(path.stat().st_size for path in (world.hub.store / "packs").iterdir())


def assert_equal(found: Mapping[str, torch.Tensor], expected: Artifact) -> None:
    assert torch.equal(found["x"], expected.tensors["x"])


def test_a_neighbour_reads_from_the_island_and_nothing_passes_the_hub(world: World) -> None:
    zero, one = world.offering(0), world.offering(1)
    reader = world.client(1)
    binding = zero.offer(REF, noise(1))
    assert one.wait([REF], 30) == {REF: binding.digest}
    into = {"x": torch.zeros(SIZE, dtype=torch.uint8)}
    found = reader.fetch(REF, into)
    assert found.tensors["x"].data_ptr() == into["x"].data_ptr()
    assert_equal(found.tensors, noise(1))
    assert zero.traffic.total_bytes("sent") == SIZE
    assert hub_bytes(world) < MIB


def test_what_a_neighbour_has_already_is_not_sent_again(world: World) -> None:
    zero = world.offering(0)
    zero.offer(REF, noise(1))
    found = world.client(1).fetch(REF, dict(noise(1).tensors), compare=True)
    assert_equal(found.tensors, noise(1))
    assert zero.traffic.total_bytes("sent") == 0


def test_nobody_but_a_neighbour_reads_at_the_hub_or_at_the_island(world: World) -> None:
    zero = world.offering(0)
    digest = zero.offer(REF, noise(1)).digest
    with pytest.raises(RejectedError, match="island-2 may not read islands/0/rounds/1"):
        world.client(2).fetch(REF)
    request = pb.FetchRequest(ref=REF, manifest_digest=digest, ranges=[pb.ByteRange(end=1)])
    with dial(world, zero.address, 2) as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="island-2 may not read") as caught:
            list(stub.Fetch(request, timeout=30))
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with dial(world, zero.address, 1) as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        assert sum(len(it.content) for it in stub.Fetch(request, timeout=30)) == 1


def test_an_island_takes_no_artifacts_and_no_progress(world: World) -> None:
    zero = world.offering(0)
    manifest = pb.MissingRequest(ref=names.snapshot_ref(1, 1), manifest=b"{}")
    with dial(world, zero.address, 1) as channel:
        for call in (
            lambda: exchange_grpc.ExchangeServiceStub(channel).Missing(manifest, timeout=30),
            lambda: progress_grpc.ProgressServiceStub(channel).Report(
                progress_pb.ReportRequest(), timeout=30
            ),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.slow
def test_what_cannot_be_reached_comes_over_the_hub_and_the_second_time_at_once(
    world: World,
) -> None:
    zero = world.offering(0, advertised="127.0.0.1:9")  # nobody listens there
    reader = world.client(1)
    for number in (1, 2):
        ref = names.snapshot_ref(0, number)
        zero.offer(ref, noise(number))
        assert_equal(reader.fetch(ref).tensors, noise(number))
    assert zero.traffic.total_bytes("sent") == 0
    assert hub_bytes(world) >= 2 * SIZE


@pytest.mark.slow
def test_somebody_else_at_the_address_of_the_holder_is_not_believed(world: World) -> None:
    zero = world.offering(0, as_island=2)
    zero.offer(REF, noise(1))
    assert_equal(world.client(1).fetch(REF).tensors, noise(1))
    assert zero.traffic.total_bytes("sent") == 0


@pytest.mark.slow
def test_a_transfer_that_breaks_for_good_goes_on_over_the_hub(world: World) -> None:
    with TcpProxy() as proxy:
        zero = world.offering(0, advertised=proxy.address)
        proxy.forward_to(zero.listening)
        zero.offer(REF, noise(1))
        proxy.cut_after("down", SIZE // 2, for_good=True)
        reader = world.client(1)
        assert_equal(reader.fetch(REF).tensors, noise(1))
        assert proxy.cuts == 1
        assert reader.traffic.total_bytes("received") <= SIZE + PIECE_BYTES
        assert SIZE // 4 < zero.traffic.total_bytes("sent") < SIZE


def test_a_hub_that_was_killed_hears_of_the_holder_again(world: World) -> None:
    zero = world.offering(0)
    zero.offer(REF, noise(1))
    world.hub.kill()
    world.hub.start()
    assert_equal(world.client(1).fetch(REF).tensors, noise(1))
    with world.hub.household.channel(world.hub.address, "island", 1) as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        place = stub.Resolve(pb.ResolveRequest(ref=REF), timeout=30).place
    assert (place.holder_step, place.holder_address) == ("island-0", zero.address)


@pytest.mark.slow
def test_who_is_gone_is_named(world: World) -> None:
    zero = world.offering(0)
    zero.offer(REF, noise(1))
    zero.close()
    told = r"islands/0/rounds/1 cannot be had: island-0 at 127.0.0.1:\d+ neither answers nor"
    with pytest.raises(UnavailableError, match=told):
        world.client(1, seconds=2).fetch(REF)


def test_another_artifact_under_a_ref_that_is_bound_is_not_served(world: World) -> None:
    zero = world.offering(0)
    first = zero.offer(REF, noise(1))
    again = world.offering(0)
    assert again.offer(REF, noise(2)).digest == first.digest
    assert_equal(world.client(1).fetch(REF).tensors, noise(1))
    assert again.traffic.total_bytes("sent") == 0


def test_what_is_withdrawn_is_gone(world: World) -> None:
    zero = world.offering(0)
    zero.offer(REF, noise(1))
    zero.withdraw([REF])
    with pytest.raises(RejectedError, match="nothing is bound to islands/0/rounds/1"):
        world.client(1).fetch(REF)
    assert world.offering(1).wait([REF], 0.5) == {}


class DropThenNewHub(ExchangeClient):
    """Between a Drop and its answer the hub dies, comes back, and hears of all holders again."""

    world: World

    def drop(self, refs: Sequence[Ref]) -> None:
        super().drop(refs)
        self.world.hub.kill()
        self.world.hub.start()
        deadline = time.monotonic() + 5.0
        while REF not in self.bindings() and time.monotonic() < deadline:
            time.sleep(0.1)


def test_what_is_withdrawn_does_not_come_back_with_a_new_hub(world: World) -> None:
    client = world.client(0, kind=DropThenNewHub)
    assert isinstance(client, DropThenNewHub)
    client.world = world
    zero = world.offering(0, client=client)
    kept = names.snapshot_ref(0, 2)
    zero.offer(REF, noise(1))
    zero.offer(kept, noise(2))
    zero.withdraw([REF])
    reader = world.client(1)
    assert_equal(reader.fetch(kept).tensors, noise(2))  # so it has been told of again
    assert reader.bindings().keys() == {kept}


def test_an_address_that_is_taken_is_named(world: World) -> None:
    zero = world.offering(0)
    port = int(zero.address.rpartition(":")[2])
    with pytest.raises(WorkerError, match=f"cannot listen on 127.0.0.1:{port}"):
        Offering(
            world.client(0),
            world.hub.household.credentials("island", 0),
            Guard(world.hub.household.job_uid),
            Listen(port=port),
        )


def dial(world: World, address: str, island: int) -> grpc.Channel:
    """As one island to the server of island 0."""
    credentials = world.hub.household.credentials("island", island)
    return open_channel(address, credentials, Process(credentials.process.job_uid, "island", 0))


def test_who_waits_and_who_is_late_agree_on_what_came_first(world: World) -> None:
    zero, one = world.offering(0), world.offering(1)
    reader = world.client(1)
    late, early = names.snapshot_ref(0, 1), names.snapshot_ref(0, 2)
    assert reader.excuse(late).digest == ABSENCE.digest
    assert one.wait([late], 30) == {late: ABSENCE.digest}
    assert (
        zero.offer(late, noise(1)).digest == ABSENCE.digest
    )  # its owner is told, and holds nothing
    binding = zero.offer(early, noise(2))
    assert reader.excuse(early).digest == binding.digest
    assert_equal(one.fetch(early, 10).tensors, noise(2))
    with pytest.raises(RejectedError, match="island-2 may not excuse"):
        world.client(2).excuse(names.snapshot_ref(0, 3))
    world.hub.kill()
    world.hub.start()
    assert reader.excuse(late).digest == ABSENCE.digest
