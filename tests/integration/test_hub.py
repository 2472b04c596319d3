"""The hub as a process: it starts small, refuses plainly, and survives being killed."""

import json
import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import torch
from hub_process import HubProcess, finish
from identities import Everyone

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.exchange.v1 import exchange_pb2_grpc as exchange_grpc
from atoll_api.exit_codes import ExitCode
from atoll_api.names import Ref
from atoll_operator import progress
from atoll_operator.errors import HubUnavailableError
from atoll_worker.errors import (
    CorruptArtifactError,
    DisruptedError,
    NoSpaceError,
    RejectedError,
    UnavailableError,
)
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Artifact, ProgressReport

REF = Ref("experts/0")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path / "run")
    yield hub
    hub.kill()


def client(hub: HubProcess, seconds: float = 60.0) -> Everyone:
    return Everyone(hub.household, hub.address, Patience(seconds, seconds))


def noise(size_mib: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (size_mib << 20,), dtype=torch.uint8, generator=generator)


def network(seed: int = 0) -> Artifact:
    """160 MiB in tensors of 4 MiB: long enough on the way to be interrupted."""
    return Artifact({f"t{i:02}": part for i, part in enumerate(noise(160, seed).chunk(40))})


def equal(left: Artifact, right: Artifact) -> bool:
    return left.tensors.keys() == right.tensors.keys() and all(
        torch.equal(left.tensors[name], right.tensors[name]) for name in left.tensors
    )


def test_the_hub_is_small_and_loads_no_torch(hub: HubProcess) -> None:
    hub.start()
    maps = Path(f"/proc/{hub.pid}/maps").read_text()
    assert "libtorch" not in maps
    assert "numpy" not in maps
    assert "cryptography" not in maps
    pages = int(Path(f"/proc/{hub.pid}/statm").read_text().split()[1])
    assert pages * resource.getpagesize() < 70_000_000


def test_what_is_bound_survives_kill_and_stop(hub: HubProcess) -> None:
    artifact = Artifact({"x": noise(1)}, {"step": 3})
    hub.start()
    with client(hub) as one:
        bound = one.publish(REF, artifact)
        hub.kill()
        hub.start()
        assert one.bindings() == {REF: bound}
        code, message = hub.terminate()
        assert (code, message) == (
            ExitCode.DISRUPTED,
            "atoll: hub: told to stop; what is bound is kept\n",
        )
        hub.start()
        assert equal(one.fetch(REF), artifact)


def _wait_for_download(meter: WireMeter) -> None:
    """Until a tenth of `network()` is here."""
    deadline = time.monotonic() + 60
    while next(it for it in meter.read() if it.peer == "hub").received_bytes < 16 << 20:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _wait_for_upload(hub: HubProcess) -> None:
    deadline = time.monotonic() + 60
    while not any((hub.store / "incoming").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_hub_killed_while_it_receives_costs_only_time(hub: HubProcess) -> None:
    hub.start()
    artifact = network()
    expected = encode(artifact).manifest.digest
    with client(hub) as one:
        results: list[str] = []
        sender = threading.Thread(target=lambda: results.append(one.publish(REF, artifact).digest))
        sender.start()
        _wait_for_upload(hub)
        hub.kill()
        assert not list((hub.store / "refs").iterdir()), "killed too late to prove anything"
        hub.start()
        sender.join()
        assert results == [expected]
        assert equal(one.fetch(REF), artifact)


def test_a_hub_killed_while_it_sends_costs_only_time(hub: HubProcess) -> None:
    hub.start()
    artifact = network()
    with client(hub) as one:
        one.publish(REF, artifact)
        received: list[Artifact] = []
        reader = threading.Thread(target=lambda: received.append(one.fetch(REF)))
        meter = WireMeter(hub.address)
        meter.start()
        reader.start()
        _wait_for_download(meter)
        hub.kill()
        assert not received, "killed too late to prove anything"
        hub.start()
        reader.join()
        assert equal(received[0], artifact)
        seen = next(it for it in meter.read() if it.peer == "hub").received_bytes
        assert seen < 1.9 * (160 << 20), "what had arrived was sent again"


def test_a_broken_download_goes_on_where_it_was(hub: HubProcess) -> None:
    hub.start()
    encoded = encode(Artifact({"x": noise(4)}))
    with client(hub) as one:
        one.publish(REF, Artifact({"x": noise(4)}))
    with hub.household.channel(hub.address, "island") as channel:
        request = pb.FetchRequest(
            ref=REF,
            manifest_digest=encoded.manifest.digest,
            ranges=[pb.ByteRange(begin=3_000_001, end=encoded.manifest.content.size_bytes)],
        )
        answers = list(exchange_grpc.ExchangeServiceStub(channel).Fetch(request))
    assert answers[0].position_bytes == 3_000_001
    rest = b"".join(answer.content for answer in answers)
    assert rest == bytes(encoded.blobs[0][3_000_001:])


def test_unchanged_tensors_cost_no_bytes_the_second_time(hub: HubProcess) -> None:
    hub.start()
    large, small = noise(8), torch.ones(3)
    with client(hub) as one:
        one.publish(Ref("checkpoints/island-0/1"), Artifact({"large": large, "small": small}))
        before = _pack_bytes(hub)
        one.publish(REF, Artifact({"large": large, "small": small * 2}))
        assert _pack_bytes(hub) - before < 10_000
        assert torch.equal(one.fetch(REF).tensors["large"], large)


def _pack_bytes(hub: HubProcess) -> int:
    return sum(path.stat().st_size for path in (hub.store / "packs").iterdir())


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_artifact_is_refused_by_name(
    hub: HubProcess, damage: str, *, restart: bool
) -> None:
    hub.start()
    with client(hub) as one:
        one.publish(REF, Artifact({"x": noise(3)}))
        if restart:
            hub.kill()
        (path,) = (hub.store / "packs").iterdir()
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content[:-1000] if damage == "cut" else content)
        if restart:
            hub.start()
        with pytest.raises(CorruptArtifactError, match=r"^experts/0 .* blob blake3:\w{64} .*run"):
            one.fetch(REF)


def test_two_hubs_on_one_store(hub: HubProcess, tmp_path: Path) -> None:
    hub.start()
    second = HubProcess(hub.folder)
    code, message = finish(second.launch())
    assert code == ExitCode.IN_USE
    assert message.startswith("atoll: hub: the store ")
    assert f"belongs to another run (process {hub.pid})" in message
    assert message.count("\n") == 1


def test_a_taken_port(hub: HubProcess, tmp_path: Path) -> None:
    hub.start()
    port = int(hub.address.rpartition(":")[2])
    code, message = finish(HubProcess(tmp_path / "other", port).launch())
    assert code == ExitCode.IN_USE
    assert message == (
        f"atoll: hub: port {port} of 127.0.0.1 is taken: give the hub another one with --hub-port\n"
    )


def test_a_job_beyond_its_quota_is_told_so(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "run", quota_bytes=3 << 20)
    try:
        hub.start()
        with client(hub) as one:
            first = one.publish(Ref("experts/7"), Artifact({"x": noise(1)}))
            with pytest.raises(
                NoSpaceError, match=r"experts/8 needs 41\d{5} bytes, .* quota of 3145"
            ):
                one.publish(Ref("experts/8"), Artifact({"x": noise(4)}))
            assert dict(one.bindings()) == {Ref("experts/7"): first}
    finally:
        hub.kill()


def test_a_full_disk_refuses_the_artifact_and_keeps_the_others(hub: HubProcess) -> None:
    # The largest file this hub may write is 2 MiB: for the file system a kind of full.
    hub.start(prefix=("prlimit", f"--fsize={2 << 20}"))
    with client(hub) as one:
        first = one.publish(Ref("experts/7"), Artifact({"x": noise(1)}))
        with pytest.raises(NoSpaceError, match=r"cannot take 41\d{5} bytes .* are free\): free"):
            one.publish(REF, Artifact({"x": noise(4)}))
        assert one.bindings() == {"experts/7": first}
        assert list((hub.store / "incoming").iterdir()) == []
        one.publish(REF, Artifact({"x": noise(1, seed=1)}))


def test_a_hub_that_never_answers(hub: HubProcess) -> None:
    with (
        ExchangeClient(
            "127.0.0.1:9", hub.household.credentials("island"), Patience(0.5, 0.5)
        ) as one,
        pytest.raises(UnavailableError, match=r"hub at 127.0.0.1:9 did not answer for 0 s|1 s"),
    ):
        one.bindings()


def test_whoever_is_told_to_stop_does_not_wait_for_a_hub_that_is_gone(hub: HubProcess) -> None:
    patience = Patience(60, 60, stopping=lambda: True)
    began = time.monotonic()
    with (
        ExchangeClient("127.0.0.1:9", hub.household.credentials("island"), patience) as one,
        pytest.raises(DisruptedError, match="told to stop while the hub did not answer"),
    ):
        one.bindings()
    assert time.monotonic() - began < 30


def test_the_hub_dies_with_its_supervisor(hub: HubProcess) -> None:
    hub.start()
    assert hub.cut_lifeline() == (ExitCode.DISRUPTED, "")


def test_progress_survives_a_killed_hub(hub: HubProcess) -> None:
    hub.start()
    with ExchangeClient(hub.address, hub.household.credentials("island")) as one:
        one.report(ProgressReport(5, 10, loss=0.25))
    saved = hub.store / "progress.json"
    deadline = time.monotonic() + 60
    while not saved.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    hub.kill()
    hub.start()
    with client(hub) as one:
        assert one.snapshot() == {"island-0": ProgressReport(5, 10, loss=0.25)}


def test_a_progress_file_that_is_none_is_passed_over(hub: HubProcess) -> None:
    hub.start()
    hub.kill()
    (hub.store / "progress.json").write_text(json.dumps({"steps": 7}))
    hub.start()
    with client(hub) as one:
        assert one.snapshot() == {}


async def test_the_operator_hears_progress_and_bindings(hub: HubProcess) -> None:
    hub.start()
    with ExchangeClient(hub.address, hub.household.credentials("island")) as one:
        bound = one.publish(REF, Artifact({"x": noise(1)}, {}, ()))
        one.report(ProgressReport(3, 9, message="training\x1b[2J"))  # to clear a terminal
    operator = hub.household.identity("operator")
    steps, bindings = await progress.snapshot(hub.address, operator)
    assert (steps[next(iter(steps))].done, steps[next(iter(steps))].message) == (3, "training?[2J")
    assert (bindings[REF].digest, bindings[REF].size_bytes) == (bound.digest, 1 << 20)
    await progress.drop(hub.address, operator, [REF])
    assert (await progress.snapshot(hub.address, operator))[1] == {}
    hub.kill()
    with pytest.raises(HubUnavailableError, match="did not answer"):
        await progress.snapshot(hub.address, operator)


def test_a_watch_hears_what_is_bound_and_what_becomes_bound(hub: HubProcess) -> None:
    hub.start()
    with client(hub) as one, hub.household.channel(hub.address, "cli") as channel:
        one.publish(Ref("experts/0"), Artifact({"x": noise(1)}))
        watch = exchange_grpc.ExchangeServiceStub(channel).Watch(
            pb.WatchRequest(prefixes=["experts/"]), timeout=60
        )
        assert next(watch).bound.binding.ref == "experts/0"
        one.publish(Ref("router"), Artifact({}))
        one.publish(Ref("experts/1"), Artifact({}))
        assert next(watch).bound.binding.ref == "experts/1"
        assert hub.terminate()[0] == ExitCode.DISRUPTED
        assert list(watch) == []


@pytest.mark.parametrize(
    ("manifest", "limit"),
    [(b"{", "not JSON"), (b" " * (4 * 1024 * 1024 + 1), "the limit is 4194304")],
)
def test_a_bad_manifest_is_refused_with_the_limit(
    hub: HubProcess, manifest: bytes, limit: str
) -> None:
    hub.start()
    with hub.household.channel(hub.address, "island") as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        with pytest.raises(grpc.RpcError, match=limit) as caught:
            stub.Missing(pb.MissingRequest(ref=REF, manifest=manifest), timeout=60)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_published_blob_is_checked(hub: HubProcess) -> None:
    hub.start()
    encoded = encode(Artifact({"x": torch.ones(4)}))
    with hub.household.channel(hub.address, "island") as channel:
        stub = exchange_grpc.ExchangeServiceStub(channel)
        missing = stub.Missing(pb.MissingRequest(ref=REF, manifest=encoded.manifest.to_bytes()))
        assert list(missing.missing) == [pb.ByteRange(begin=0, end=16)]
        request = pb.PublishRequest(session_id=missing.session_id, content=bytes(16))
        with pytest.raises(grpc.RpcError, match="arrived altered") as caught:
            list(stub.Publish(iter([request])))
        assert caught.value.code() == grpc.StatusCode.DATA_LOSS


def test_many_threads_share_a_client(hub: HubProcess) -> None:
    hub.start()
    with client(hub) as one:

        def publish(i: int) -> None:
            one.publish(Ref(f"experts/{i}"), Artifact({"x": noise(2, seed=i % 3)}))

        threads = [threading.Thread(target=publish, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one.bindings("experts/")) == 8
        for i in range(8):
            assert torch.equal(one.fetch(Ref(f"experts/{i}")).tensors["x"], noise(2, seed=i % 3))


def test_nothing_is_bound(hub: HubProcess) -> None:
    hub.start()
    with client(hub) as one, pytest.raises(RejectedError, match="nothing is bound to experts/0"):
        one.fetch(REF)


@pytest.mark.skipif(subprocess.run(["id", "-u"], capture_output=True, check=True).stdout != b"0\n",
                    reason="mounting a small disk needs root")  # fmt: skip
def test_a_disk_that_is_full(hub: HubProcess) -> None:
    hub.folder.mkdir(parents=True)
    hub.store.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(hub.store)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this sandbox mounts nothing")
    try:
        hub.start()
        with client(hub) as one:
            first = one.publish(Ref("experts/7"), Artifact({"x": noise(1)}))
            with pytest.raises(NoSpaceError, match=r"No space left on device, \d+ are free"):
                one.publish(REF, Artifact({"x": noise(8)}))
            assert one.bindings() == {"experts/7": first}
            one.publish(REF, Artifact({"x": noise(1, seed=1)}))
        hub.kill()
    finally:
        subprocess.run(["umount", str(hub.store)], check=True)
