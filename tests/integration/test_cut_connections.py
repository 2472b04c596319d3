"""Transfers over connections that break, stall or are slow: right bytes, and few of them twice."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from serving import Served, serving
from tcp_proxy import TcpProxy

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api.names import Ref
from atoll_worker.exchange import frames
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Connection, Effort, Patience
from atoll_worker.exchange.content import PIECE_BYTES, Run
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.line import BulkLimits
from atoll_worker.exchange.snapshots import Snapshots
from atoll_worker.exchange.store import Store
from atoll_worker.exchange.transfer import Moving
from atoll_worker.ports import Artifact

REF = Ref("experts/0")
MIB = 1 << 20
SIZE = 24 * MIB
CUTS = 25
"""In each direction."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    store = Store(tmp_path / "store")
    with serving(store) as served:
        yield served
    store.close()


def noise(size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (size,), dtype=torch.uint8, generator=generator)


def client(served: Served, address: str, index: int = 0) -> ExchangeClient:
    return ExchangeClient(address, served.credentials(index=index), Patience(60, 60))


@pytest.mark.slow
def test_an_upload_survives_every_cut(hub: Served) -> None:
    places = random.Random(0)
    artifact = Artifact({"x": noise(SIZE, 0)})
    expected = encode(artifact).manifest.digest
    for i in range(CUTS):
        with TcpProxy(hub.address) as proxy, client(hub, proxy.address, i) as one:
            before = hub.traffic.total_bytes("received")
            proxy.cut_after("up", places.randrange(SIZE))
            # The operator's leave to drop is not an island's: every round has its own bytes.
            fresh = Artifact({"x": artifact.tensors["x"] + i})
            bound = one.publish(Ref(f"experts/{i}"), fresh)
            assert bound.digest == encode(fresh).manifest.digest
            assert i or bound.digest == expected
            assert proxy.cuts == 1
            assert hub.traffic.total_bytes("received") - before <= SIZE + PIECE_BYTES
            assert one.traffic.total_bytes("sent") <= SIZE + 16 * MIB


@pytest.mark.slow
def test_a_download_survives_every_cut(hub: Served) -> None:
    places = random.Random(1)
    artifact = Artifact({"x": noise(SIZE, 0)})
    with client(hub, hub.address) as one:
        one.publish(REF, artifact)
    for _ in range(CUTS):
        with TcpProxy(hub.address) as proxy, client(hub, proxy.address) as one:
            before = hub.traffic.total_bytes("sent")
            proxy.cut_after("down", places.randrange(SIZE))
            assert torch.equal(one.fetch(REF).tensors["x"], artifact.tensors["x"])
            assert proxy.cuts == 1
            assert one.traffic.total_bytes("received") <= SIZE + PIECE_BYTES
            assert hub.traffic.total_bytes("sent") - before <= SIZE + 16 * MIB


def test_a_fetch_into_memory_that_is_there_allocates_none(hub: Served) -> None:
    with client(hub, hub.address) as one:
        one.publish(REF, Artifact({"x": noise(MIB, 0), "y": torch.ones(3)}))
        into = {"x": torch.zeros(MIB, dtype=torch.uint8), "y": torch.zeros(4)}
        fetched = one.fetch(REF, into).tensors
    assert fetched["x"].data_ptr() == into["x"].data_ptr()
    assert torch.equal(into["x"], noise(MIB, 0))
    assert torch.equal(fetched["y"], torch.ones(3)), "another shape gets memory of its own"
    assert torch.equal(into["y"], torch.zeros(4))


def test_tensors_that_have_the_bytes_already_are_not_fetched(hub: Served) -> None:
    """Neither large ones, nor small ones that share a message, nor the copies of either."""
    tensors = {"big": noise(MIB, 0), "copy": noise(MIB, 0), "new": noise(MIB, 1)}
    small = {f"small.{i}": torch.full((4,), i) for i in range(20)}
    with client(hub, hub.address) as one:
        one.publish(REF, Artifact({**tensors, **small}))
        into = {name: it.clone() for name, it in {**tensors, **small}.items()}
        into["new"].zero_()
        into["small.7"].zero_()
        fetched = one.fetch(REF, into, compare=True).tensors
        assert one.traffic.total_bytes("received") == MIB + 32
    for name, tensor in {**tensors, **small}.items():
        assert torch.equal(fetched[name], tensor)
        assert torch.equal(into[name], tensor)


def test_a_copy_is_fetched_where_only_the_other_is_there(hub: Served) -> None:
    with client(hub, hub.address) as one:
        one.publish(REF, Artifact({"a": noise(MIB, 0), "b": noise(MIB, 0)}))
        into = {"a": torch.zeros(MIB, dtype=torch.uint8), "b": noise(MIB, 0)}
        fetched = one.fetch(REF, into, compare=True).tensors
    assert torch.equal(fetched["a"], noise(MIB, 0))
    assert torch.equal(fetched["b"], noise(MIB, 0))


def test_unchanged_tensors_move_no_blob_bytes(hub: Served) -> None:
    with client(hub, hub.address) as one:
        with one.traffic.during("first"):
            one.publish(REF, Artifact({"x": noise(MIB, 0)}, {"step": 1}))
        with one.traffic.during("second"):
            one.publish(Ref("checkpoints/island-0/1"), Artifact({"x": noise(MIB, 0)}, {"step": 2}))
        moved = {(it.direction, it.phase): size for it, size in one.traffic.counts().items()}
        assert moved == {("sent", "first"): MIB}
        assert hub.traffic.total_bytes("received") == MIB


def shelf_of(size: int) -> Snapshots:
    encoded = encode(Artifact({"x": noise(size, 0)}))
    shelf = Snapshots()
    shelf.offer(REF, encoded.manifest, encoded.blobs)
    return shelf


def ask(connection: Connection) -> Any:
    """A raw Fetch of all of `REF`; nothing is read of it yet."""
    answer = connection.exchange.Resolve(pb.ResolveRequest(ref=REF), timeout=30)
    size_bytes = manifests.parse(answer.manifest).content.size_bytes
    ranges = [pb.ByteRange(begin=0, end=size_bytes)]
    digest = answer.binding.manifest_digest
    return connection.fetch(pb.FetchRequest(ref=REF, manifest_digest=digest, ranges=ranges))


@contextmanager
def connected(served: Served, address: str = "") -> Iterator[Connection]:
    connection = Connection(address or served.address, served.credentials(), Patience())
    yield connection
    connection.close()


def test_a_reader_that_reads_nothing_loses_its_place_and_costs_little() -> None:
    size = 192 * MIB
    limits = BulkLimits(places=1, stall_seconds=0.5)
    with serving(shelf_of(size), limits) as served, connected(served) as stuck:
        call = ask(stuck)
        next(call)
        with client(served, served.address, 0) as other:
            assert other.fetch(REF).tensors["x"].numel() == size
        # What the kernel and gRPC took before they pushed back.
        assert served.traffic.total_bytes("sent") - size < 96 * MIB
        with pytest.raises(grpc.RpcError, match=r"moved nothing for 0\.5 s") as caught:
            list(call)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_slow_reader_gives_its_place_to_one_that_waits() -> None:
    limits = BulkLimits(places=1, stall_seconds=30, turn_seconds=0.2, notice_seconds=0.05)
    with serving(shelf_of(192 * MIB), limits) as served, connected(served) as slow:
        call = ask(slow)
        next(call)
        done = threading.Event()

        def read_slowly() -> None:
            while not done.wait(0.05):
                next(call, None)

        reader = threading.Thread(target=read_slowly)
        reader.start()
        with client(served, served.address) as other:
            assert other.fetch(REF).tensors["x"].numel() == 192 * MIB
        done.set()
        reader.join()
        list(call)
        assert call.code() == grpc.StatusCode.OK, "ended in turn, to be asked again"


def test_a_writer_that_writes_nothing_loses_its_place(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    held = threading.Event()

    def nothing() -> Iterator[bytes]:
        held.wait(30)
        yield from ()

    with (
        serving(store, BulkLimits(places=1, stall_seconds=0.3)) as served,
        connected(served) as stuck,
        client(served, served.address) as other,
    ):
        call = stuck.publish(nothing())
        assert other.publish(REF, Artifact({"x": noise(MIB, 0)})).size_bytes == MIB
        with pytest.raises(grpc.RpcError, match="moved nothing"):
            list(call)
        held.set()
    store.close()


def test_a_stall_within_a_blob_is_no_failure_of_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    encoded = encode(Artifact({"x": noise(2 * MIB, 1)}))
    held = threading.Event()
    with (
        serving(store, BulkLimits(places=1, stall_seconds=0.3)) as served,
        connected(served) as stuck,
        client(served, served.address) as other,
    ):
        asked = pb.MissingRequest(ref=REF, manifest=encoded.manifest.to_bytes())
        session = stuck.exchange.Missing(asked).session_id
        piece = bytes(encoded.blobs[0][:1000])

        def half() -> Iterator[bytes]:
            yield pb.PublishRequest(session_id=session, content=piece).SerializeToString()
            held.wait(30)

        with pytest.raises(grpc.RpcError, match="moved nothing") as caught:
            list(stuck.publish(half()))
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        held.set()
        assert other.publish(REF, Artifact({"x": noise(MIB, 0)})).size_bytes == MIB
    store.close()


def test_a_slow_writer_hears_how_far_it_is_long_before_4_mib(tmp_path: Path) -> None:
    """On a slow line its patience would end before it hears of anything."""
    encoded = encode(Artifact({"x": noise(3 * MIB, 0)}))
    store = Store(tmp_path / "store")
    with serving(store, BulkLimits(notice_seconds=0.0)) as served:
        connection = Connection(served.address, served.credentials(), Patience(60, 60))
        request = pb.MissingRequest(ref=REF, manifest=encoded.manifest.to_bytes())
        session = connection.exchange.Missing(request, timeout=30).session_id
        heard = threading.Semaphore(0)

        def messages() -> Iterator[bytes]:
            for position, parts in encoded.manifest.content.pieces(
                encoded.blobs, [Run(0, 3 * MIB)]
            ):
                yield frames.encode_publish(session, position, parts)
                assert heard.acquire(timeout=30)  # the next only after word of this one

        told = []
        for answer in connection.publish(messages(), timeout=60):
            told.append(pb.PublishResponse.FromString(answer).received_bytes)
            heard.release()
        connection.close()
    store.close()
    assert told[:3] == [MIB, 2 * MIB, 3 * MIB]


def test_a_silent_server_is_given_up() -> None:
    with (
        serving(shelf_of(SIZE)) as served,
        TcpProxy(served.address) as proxy,
        connected(served, address=proxy.address) as connection,
    ):
        call = ask(connection)
        next(call)
        proxy.frozen.set()
        with (
            pytest.raises(grpc.RpcError) as caught,
            Moving(call, Effort(60), stall_seconds=0.3),
        ):
            list(call)
        assert caught.value.code() == grpc.StatusCode.CANCELLED


def test_who_waits_in_line_is_told_so() -> None:
    limits = BulkLimits(places=1, stall_seconds=30, turn_seconds=30, notice_seconds=0.05)
    with (
        serving(shelf_of(192 * MIB), limits) as served,
        connected(served) as first,
        connected(served) as second,
    ):
        holder = ask(first)
        next(holder)
        waiting = ask(second)
        assert next(waiting) == b""
        holder.cancel()
        assert any(message for message in waiting)


@pytest.mark.slow
def test_eight_islands_fetch_over_a_slow_link_and_progress_gets_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """100 Mbit/s for all: two transfers at once, the others wait and are told so."""
    size, link_bytes_per_second = 4 * MIB, 100e6 / 8
    limits = BulkLimits(notice_seconds=0.5)
    with (
        serving(shelf_of(size), limits) as served,
        TcpProxy(served.address, down_bytes_per_second=link_bytes_per_second) as proxy,
    ):
        fetched: list[int] = []

        def fetch() -> None:
            with client(served, proxy.address) as one:
                fetched.append(one.fetch(REF).tensors["x"].numel())

        threads = [threading.Thread(target=fetch, daemon=True) for _ in range(8)]
        with connected(served, address=proxy.address) as probe:
            alone = [report_seconds(probe) for _ in range(20)]
            started = time.monotonic()
            for thread in threads:
                thread.start()
            beside = []
            while any(thread.is_alive() for thread in threads):
                beside.append(report_seconds(probe))
                time.sleep(0.02)
            took_seconds = time.monotonic() - started
        for thread in threads:
            thread.join()
    assert fetched == [size] * 8
    assert took_seconds > 0.9 * 8 * size / link_bytes_per_second, "the link was no bottleneck"
    assert len(beside) > 20
    message_seconds = MIB / link_bytes_per_second
    with capsys.disabled():
        print(  # noqa: T201 - a figure to report
            f"\nreport over a link of 100 Mbit/s: alone p50 {ms(alone, 50)}, beside 8 fetches "
            f"p50 {ms(beside, 50)}, p99 {ms(beside, 99)}, {len(beside)} reports; a message of "
            f"1 MiB takes {message_seconds * 1000:.0f} ms, all of them took {took_seconds:.1f} s"
        )
    # Two transfers have at most so much in the kernel's and gRPC's buffers before the report.
    assert percentile(beside, 99) < max(alone) + 12 * message_seconds
    assert percentile(beside, 99) < took_seconds / 2, "a report waited behind the weights"


def report_seconds(probe: Connection) -> float:
    step = progress_pb.StepProgress(step_name="island-0", done_count=1, total_count=2)
    started = time.monotonic()
    probe.progress.Report(progress_pb.ReportRequest(progress=step), timeout=30)
    return time.monotonic() - started


def percentile(seconds: list[float], percent: int) -> float:
    return sorted(seconds)[(len(seconds) - 1) * percent // 100]


def ms(seconds: list[float], percent: int) -> str:
    return f"{percentile(seconds, percent) * 1000:.0f} ms"
