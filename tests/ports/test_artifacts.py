"""One suite for `ports.Artifacts` and `ports.Progress`: the fake in memory and the real hub."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from hub_process import HubProcess
from identities import Everyone

from atoll_api.names import Ref
from atoll_worker.errors import ContractError, RejectedError
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress
from atoll_worker.ports import (
    Artifact,
    Artifacts,
    Base,
    Binding,
    Progress,
    ProgressReport,
    WireBytes,
)

REF = Ref("experts/0")
DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


PATIENCE = Patience(60.0, 60.0)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path_factory.mktemp("hub"))
    process.start()
    yield process
    process.kill()


@pytest.fixture(params=["memory", "hub"])
def artifacts(request: pytest.FixtureRequest) -> Iterator[Artifacts]:
    if request.param == "memory":
        yield MemoryArtifacts()
        return
    hub = request.getfixturevalue("hub")
    with Everyone(hub.household, hub.address, PATIENCE) as client:
        client.drop(list(client.bindings()))
        yield client


@pytest.fixture(params=["memory", "hub"])
def progress(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Progress]]:
    """Makes the progress of a step."""
    if request.param == "memory":
        reports: dict[str, ProgressReport] = {}
        yield lambda step: MemoryProgress(step, reports)
        return
    hub = request.getfixturevalue("hub")
    with Everyone(hub.household, hub.address, PATIENCE) as everyone:
        yield lambda step: everyone.client(step.removesuffix("-0"))


def an_artifact(value: float = 1.0) -> Artifact:
    tensors = {"b": torch.full((3, 2), value), "a": torch.arange(5)}
    return Artifact(tensors, {"step": 7, "path": "Linear", "nested": {"x": [1, 2.5, None]}})


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_comes_back_bit_for_bit(artifacts: Artifacts, dtype: torch.dtype) -> None:
    tensor = torch.randint(0, 2, (4, 3), generator=torch.Generator().manual_seed(0)).to(dtype)
    artifacts.publish(REF, Artifact({"x": tensor}))
    fetched = artifacts.fetch(REF).tensors["x"]
    assert fetched.dtype == dtype
    assert torch.equal(fetched, tensor)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1, 1, 1, 1, 1, 1)], ids=str)
def test_unusual_shapes_come_back(artifacts: Artifacts, shape: tuple[int, ...]) -> None:
    artifacts.publish(REF, Artifact({"x": torch.ones(shape)}))
    assert torch.equal(artifacts.fetch(REF).tensors["x"], torch.ones(shape))


def test_a_transposed_tensor_comes_back(artifacts: Artifacts) -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T
    artifacts.publish(REF, Artifact({"x": tensor}))
    assert torch.equal(artifacts.fetch(REF).tensors["x"], tensor)


def test_nan_payloads_and_signed_zeros_come_back(artifacts: Artifacts) -> None:
    bits = torch.tensor([0x7FC00001, -2147483648, 0x7F800000], dtype=torch.int32)
    artifacts.publish(REF, Artifact({"x": bits.view(torch.float32)}))
    assert torch.equal(artifacts.fetch(REF).tensors["x"].view(torch.int32), bits)


def test_tensors_of_equal_bytes_come_back_apart(artifacts: Artifacts) -> None:
    artifacts.publish(REF, Artifact({"x": torch.zeros(4), "y": torch.zeros(2, 2)}))
    fetched = artifacts.fetch(REF).tensors
    fetched["x"][0] = 1.0
    assert torch.equal(fetched["y"], torch.zeros(2, 2))


def test_metadata_and_parents_come_back(artifacts: Artifacts) -> None:
    parent = artifacts.publish(Ref("experts/1"), an_artifact(2.0))
    child = Artifact(an_artifact().tensors, an_artifact().metadata, (parent.digest,))
    binding = artifacts.publish(REF, child)
    fetched = artifacts.fetch(REF)
    assert binding.parents == fetched.parents == (parent.digest,)
    assert fetched.metadata == an_artifact().metadata
    assert binding.size_bytes == 24 + 40


def test_the_digest_depends_on_content_alone(artifacts: Artifacts) -> None:
    first = artifacts.publish(Ref("experts/7"), an_artifact())
    same = Artifact(dict(sorted(an_artifact().tensors.items())), an_artifact().metadata)
    assert artifacts.publish(Ref("experts/8"), same).digest == first.digest
    assert artifacts.publish(Ref("experts/9"), an_artifact(2.0)).digest != first.digest
    assert first.digest == MemoryArtifacts().publish(REF, an_artifact()).digest


def test_a_bound_ref_stays_bound(artifacts: Artifacts) -> None:
    first = artifacts.publish(REF, an_artifact(1.0))
    assert artifacts.publish(REF, an_artifact(1.0)) == first
    assert artifacts.publish(REF, an_artifact(2.0)) == first
    assert torch.equal(artifacts.fetch(REF).tensors["b"], torch.ones(3, 2))


def test_bindings_are_found_by_prefix(artifacts: Artifacts) -> None:
    for ref in ("experts/0", "experts/1", "router"):
        artifacts.publish(Ref(ref), an_artifact())
    assert set(artifacts.bindings("experts/")) == {"experts/0", "experts/1"}
    assert set(artifacts.bindings()) == {"experts/0", "experts/1", "router"}


def test_a_dropped_ref_is_free_again(artifacts: Artifacts) -> None:
    artifacts.publish(REF, an_artifact(1.0))
    artifacts.drop([REF, Ref("never/bound")])
    assert artifacts.bindings() == {}
    with pytest.raises(RejectedError, match=r"nothing is bound to experts/0"):
        artifacts.fetch(REF)
    artifacts.publish(REF, an_artifact(2.0))
    assert torch.equal(artifacts.fetch(REF).tensors["b"], torch.full((3, 2), 2.0))


def test_dropping_one_ref_spares_an_artifact_with_the_same_tensors(artifacts: Artifacts) -> None:
    artifacts.publish(Ref("experts/7"), an_artifact())
    artifacts.publish(Ref("experts/8"), Artifact(an_artifact().tensors, {"other": True}))
    artifacts.drop([Ref("experts/7")])
    assert torch.equal(artifacts.fetch(Ref("experts/8")).tensors["a"], torch.arange(5))


def test_the_caller_may_change_a_tensor_after_publishing(artifacts: Artifacts) -> None:
    tensor = torch.ones(3)
    artifacts.publish(REF, Artifact({"x": tensor}))
    tensor.zero_()
    assert torch.equal(artifacts.fetch(REF).tensors["x"], torch.ones(3))


@pytest.mark.parametrize("ref", ["", "/a", "a/", "a//b", "a/../b", "A", "a b", "a" * 257])
def test_a_ref_that_is_none_is_refused(artifacts: Artifacts, ref: str) -> None:
    with pytest.raises(RejectedError, match=r"ref|is longer than 256 bytes"):
        artifacts.publish(Ref(ref), an_artifact())


def test_what_no_manifest_can_say_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(RejectedError, match="complex64"):
        artifacts.publish(REF, Artifact({"x": torch.ones(1, dtype=torch.complex64)}))
    with pytest.raises(RejectedError, match="rank 9, the limit is 8"):
        artifacts.publish(REF, Artifact({"x": torch.ones((1,) * 9)}))
    with pytest.raises(RejectedError, match="JSON"):
        artifacts.publish(REF, Artifact({}, {"loss": float("nan")}))


def drift(base: Artifact, scale: float) -> Artifact:
    """What training made of it; `frozen` did not move, and `added` is new."""
    generator = torch.Generator().manual_seed(1)
    step = torch.randn(64, 128, generator=generator) * scale
    return Artifact({**base.tensors, "weight": base.tensors["weight"] + step, "added": step[0]})


def against(ref: Ref, base: Binding, artifact: Artifact, moved: Artifact) -> Artifact:
    return replace(moved, encoding="Delta", base=Base(ref, base.digest, artifact))


def test_a_delta_is_read_with_its_base(artifacts: Artifacts) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 128, generator=generator)
    first = Artifact({"weight": weight, "frozen": torch.ones(1000), "count": torch.arange(3)})
    base = artifacts.publish(Ref("init"), first)
    moved = drift(first, 1e-3)
    bound = artifacts.publish(REF, against(Ref("init"), base, first, moved))
    assert bound.size_bytes < 0.3 * sum(it.nbytes for it in moved.tensors.values())
    fetched = artifacts.fetch(REF)
    assert (fetched.encoding, fetched.base and fetched.base.digest) == ("Delta", base.digest)
    assert torch.equal(fetched.tensors["frozen"], first.tensors["frozen"])
    assert torch.equal(fetched.tensors["count"], first.tensors["count"])
    off = (fetched.tensors["weight"] - moved.tensors["weight"]).abs().max()
    assert 0 < off < 1e-4, "rounded by the size of the step, not of the weight"
    assert artifacts.publish(Ref("experts/1"), fetched).digest == bound.digest


def test_a_delta_of_a_delta_is_read_by_who_holds_neither(artifacts: Artifacts) -> None:
    first = Artifact({"weight": torch.ones(64, 128)})
    base = artifacts.publish(Ref("init"), first)
    artifacts.publish(REF, against(Ref("init"), base, first, drift(first, 1e-3)))
    second = artifacts.fetch(REF)
    digest = artifacts.bindings()[REF].digest
    last = drift(second, 1e-4)
    chained = replace(last, encoding="Delta", base=Base(REF, digest, second))
    artifacts.publish(Ref("experts/1"), chained)
    fetched = artifacts.fetch(Ref("experts/1"))
    off = (fetched.tensors["weight"] - last.tensors["weight"]).abs().max()
    assert off < 1e-5
    assert fetched.base is not None
    assert fetched.base.depth == 2


def test_a_delta_whose_base_was_dropped_or_bound_anew_is_refused(artifacts: Artifacts) -> None:
    first = Artifact({"weight": torch.ones(64, 128)})
    base = artifacts.publish(Ref("init"), first)
    artifacts.publish(REF, against(Ref("init"), base, first, drift(first, 1e-3)))
    artifacts.drop([Ref("init")])
    with pytest.raises(ContractError, match=r"experts/0 is a delta against init, .* nothing is b"):
        artifacts.fetch(REF)
    artifacts.publish(Ref("init"), drift(first, 1.0))
    with pytest.raises(ContractError, match=rf"cannot be fetched: it was {base.digest} and is bla"):
        artifacts.fetch(REF)


def test_the_last_report_of_each_step_stands(progress: Callable[[str], Progress]) -> None:
    wire = (WireBytes("island", 0, 0), WireBytes("hub", 3, 4))
    last = ProgressReport(2, 10, 0.5, 123.0, "training", wire)
    island, evaluate = progress("island-0"), progress("evaluate")
    island.report(ProgressReport(1, 10))
    island.report(last)
    evaluate.report(ProgressReport(0, 0))
    deadline = time.monotonic() + 60
    while (seen := evaluate.snapshot()) != {"island-0": last, "evaluate": ProgressReport(0, 0)}:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
