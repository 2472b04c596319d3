"""Deltas between processes: what the manifest names, what a reader fetches, and what it refuses."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from pydantic import JsonValue
from torch import Tensor

from atoll_api.names import Ref
from atoll_worker.errors import ContractError, CorruptArtifactError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.bases import MAX_DEPTH, base_name
from atoll_worker.exchange.codecs.registry import BOUNDS
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import encode, received
from atoll_worker.exchange.manifest import Manifest
from atoll_worker.exchange.memory import MemoryArtifacts
from atoll_worker.ports import Artifact, Base

INIT, REF = Ref("init"), Ref("experts/0")


def initial() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(32, 64, generator=generator),
        "wide": torch.randn(16, 8, generator=generator).double(),
        "frozen": torch.randn(8, 8, generator=generator),
        "mask": torch.tensor([0.0, -torch.inf]),
        "steps": torch.tensor(7),
        "half": torch.randn(4, 4, generator=generator).bfloat16(),
        "resized": torch.ones(3, 4),
        "infinite": torch.ones(2, 8),
    }


def trained(tensors: Mapping[str, Tensor], seed: int = 1) -> dict[str, Tensor]:
    """What training makes of it: some moved a little, some not, some became something else."""
    generator = torch.Generator().manual_seed(seed)
    moved = {
        name: tensors[name] + 1e-3 * torch.randn(tensors[name].shape, generator=generator)
        for name in ("weight", "wide")
    }
    other = {
        "steps": torch.tensor(8),
        "half": tensors["half"] * 2,
        "resized": torch.ones(4, 4),
        "infinite": torch.full((2, 8), torch.inf),
        "added": torch.ones(2, 2),
    }
    return {**tensors, **moved, **other}


def publish_base(hub: MemoryArtifacts, ref: Ref = INIT) -> Base:
    artifact = Artifact(initial(), {"step": 0})
    return Base(ref, hub.publish(ref, artifact).digest, artifact)


def expert(base: Base, seed: int = 1) -> Artifact:
    tensors = trained(base.artifact.tensors, seed)
    return Artifact(tensors, {"step": 1}, encoding="Delta", base=base)


def both() -> tuple[MemoryArtifacts, Base]:
    hub = MemoryArtifacts()
    base = publish_base(hub)
    hub.publish(REF, expert(base))
    return hub, base


def test_what_moved_is_a_delta_what_did_not_is_nothing_and_what_has_no_base_is_raw() -> None:
    _, base = both()
    used = {it.name: it.encoding for it in encode(expert(base)).manifest.tensors}
    assert used == {
        "weight": "delta",
        "wide": "delta",
        "frozen": "unchanged",
        "mask": "unchanged",
        "steps": "raw",
        "half": "raw",
        "resized": "raw",
        "infinite": "raw",
        "added": "raw",
    }


def test_a_reader_has_what_the_writer_judged() -> None:
    hub, base = both()
    published, found = expert(base), hub.fetch(REF)
    assert found.encoding == "Delta"
    expected = received(published.tensors, "Delta", base)
    for name, tensor in found.tensors.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name])
    moved = (found.tensors["weight"] - published.tensors["weight"]).abs().max()
    assert 0 < float(moved) < 4e-3 * BOUNDS["Delta"].relative + 4 * BOUNDS["Delta"].of_base


def test_the_metadata_name_the_base_and_the_bound() -> None:
    hub, base = both()
    bound = BOUNDS["Delta"]
    assert hub.fetch(REF).metadata["encoding"] == {
        "name": "Delta",
        "base": {"ref": "init", "digest": base.digest},
        "errorBound": {
            "relative": bound.relative,
            "absolute": bound.absolute,
            "of": "RowChange",
            "ofBase": bound.of_base,
        },
    }


def test_publishing_what_was_fetched_gives_the_same_digest() -> None:
    hub, _ = both()
    other = MemoryArtifacts()
    publish_base(other)
    assert other.publish(REF, hub.fetch(REF)).digest == hub.bindings()[REF].digest


def test_without_a_base_all_is_exact_and_says_nothing() -> None:
    artifact = Artifact(initial(), encoding="Delta")
    assert encode(artifact).manifest.digest == encode(Artifact(initial())).manifest.digest


def test_a_base_that_helps_no_tensor_is_not_needed() -> None:
    base = Base(INIT, f"blake3:{'0' * 64}", Artifact({"other": torch.ones(4)}))
    manifest = encode(Artifact(initial(), encoding="Delta", base=base)).manifest
    assert base_name(REF, manifest) is None
    assert "encoding" not in manifest.metadata


class Counting(MemoryArtifacts):
    """Counts the manifests that are resolved, bases included."""

    def __init__(self) -> None:
        super().__init__()
        self.resolved: list[Ref] = []

    def _resolve(self, ref: Ref) -> Manifest:
        self.resolved.append(ref)
        return super()._resolve(ref)


def test_a_base_is_fetched_once_for_all_that_was_taken_against_it() -> None:
    hub = Counting()
    base = publish_base(hub)
    refs = [Ref(f"experts/{island}") for island in range(3)]
    for seed, ref in enumerate(refs):
        hub.publish(ref, expert(base, seed))
    found = [hub.fetch(ref) for ref in refs]
    assert hub.resolved == [refs[0], INIT, *refs[1:]]
    assert len({id(it.base) for it in found}) == 1


def test_a_base_is_let_go_with_the_last_that_needs_it() -> None:
    hub = Counting()
    hub.publish(REF, expert(publish_base(hub)))
    for _ in range(2):
        hub.fetch(REF)
    assert hub.resolved == [REF, INIT] * 2


def chain(hub: MemoryArtifacts, length: int) -> Ref:
    """A base, and deltas each against the one before."""
    base = publish_base(hub, Ref("rounds/0"))
    for number in range(1, length + 1):
        ref = Ref(f"rounds/{number}")
        binding = hub.publish(ref, expert(base, number))
        base = Base(ref, binding.digest, hub.fetch(ref))
    return base.ref


def test_a_base_may_be_a_delta_itself() -> None:
    hub = MemoryArtifacts()
    last = chain(hub, MAX_DEPTH)
    fresh = hub.fetch(last)
    assert fresh.base is not None
    assert fresh.base.depth == MAX_DEPTH
    assert encode(fresh).manifest.digest == hub.bindings()[last].digest


def test_a_chain_that_is_too_deep_is_refused_by_the_writer() -> None:
    with pytest.raises(ContractError, match=r"5 deltas deep, the limit is 4: publish rounds/4"):
        chain(MemoryArtifacts(), MAX_DEPTH + 1)


def forged(hub: MemoryArtifacts, ref: Ref, encoding: JsonValue) -> None:
    """An artifact whose manifest says of its encoding what no writer says."""
    document = json.loads(encode(expert(publish_base(MemoryArtifacts()))).manifest.to_bytes())
    document["metadata"]["encoding"] = encoding
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    manifest = manifests.parse(content)
    hub._contents[manifest.digest] = (content, b"")
    binding = hub.publish(ref, Artifact({}))
    hub._bindings[ref] = replace(binding, digest=manifest.digest)


@pytest.mark.parametrize("held", [False, True], ids=["cold", "a base is held"])
def test_a_chain_that_is_too_deep_is_refused_by_the_reader(held: bool) -> None:  # noqa: FBT001
    hub = MemoryArtifacts()
    last = chain(hub, MAX_DEPTH)
    keep = hub.fetch(last) if held else None
    digest = hub.bindings()[last].digest
    forged(hub, REF, {"name": "Delta", "base": {"ref": str(last), "digest": digest}})
    with pytest.raises(
        ContractError,
        match=r"more than 4 deltas rest on one another, .* with exchange.encoding Raw",
    ):
        hub.fetch(REF)
    del keep


def test_a_base_that_is_gone_is_named() -> None:
    hub, _ = both()
    hub.drop([INIT])
    with pytest.raises(ContractError) as caught:
        hub.fetch(REF)
    assert str(caught.value) == (
        "experts/0 is a delta against init, which cannot be fetched: nothing is bound to init: "
        "publish it first; without it experts/0 cannot be read: publish both again"
    )


def test_a_base_that_was_bound_anew_is_no_base() -> None:
    hub, base = both()
    hub.drop([INIT])
    new = hub.publish(INIT, Artifact(initial(), {"step": 1})).digest
    with pytest.raises(ContractError, match=f"init, .*: it was {base.digest} and is {new} now"):
        hub.fetch(REF)


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (None, "is a delta and names no base"),
        ({"name": "Delta"}, "is a delta and names no base"),
        ({"name": "Delta", "base": "init"}, "is a delta and names no base"),
        ({"base": {"ref": "init", "digest": 7}}, "is a delta and names no base"),
        ({"base": {"ref": "init", "digest": "md5:0"}}, "names a base that is none: 'md5:0'"),
        ({"base": {"ref": "../x", "digest": f"blake3:{'0' * 64}"}}, "names a base that is none"),
    ],
)
def test_a_delta_that_names_no_base_is_refused(encoding: JsonValue, message: str) -> None:
    hub, _ = both()
    hub.drop([REF])
    forged(hub, REF, encoding)
    with pytest.raises(CorruptArtifactError, match=f"experts/0 {message}.*[:;] publish it again"):
        hub.fetch(REF)


def test_a_base_without_the_tensor_is_refused_before_a_byte_is_fetched() -> None:
    manifest = encode(expert(publish_base(MemoryArtifacts()))).manifest
    other = Base(INIT, f"blake3:{'0' * 64}", Artifact({}))
    with pytest.raises(ContractError, match="'frozen' is a delta, and its base has no such tensor"):
        Decoder(manifest, base=other)


def test_a_base_with_another_shape_is_refused() -> None:
    encoded = encode(expert(publish_base(MemoryArtifacts())))
    flat = {name: tensor.reshape(-1) for name, tensor in initial().items()}
    other = Base(INIT, f"blake3:{'0' * 64}", Artifact(flat))
    decoder = Decoder(encoded.manifest, base=other)
    decoder.write(0, memoryview(b"".join(encoded.blobs)))
    with pytest.raises(
        CorruptArtifactError, match=r"from unchanged: the base is torch\.float32 \(64"
    ):
        decoder.finish()
