"""Artifacts to bytes and back: what is rounded, what travels raw, and who refuses what."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from atoll_api.names import Ref
from atoll_api.spec.exchange import Encoding
from atoll_worker.errors import ContractError, CorruptArtifactError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.codecs.registry import BOUNDS
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import Encoded, encode, received
from atoll_worker.exchange.memory import MemoryArtifacts
from atoll_worker.ports import Artifact

REF = Ref("experts/0")
ROUNDING: list[Encoding] = ["BFloat16", "Float16", "Int8"]


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(32, 64, generator=generator),
        "wide": torch.randn(16, 8, generator=generator).double(),
        "column": torch.randn(5, 1, generator=generator),
        "steps": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "half": torch.randn(4, 4, generator=generator).bfloat16(),
        "infinite": torch.tensor([[1.0, torch.inf, 2.0, 3.0, 4.0, 5.0]]),
        "empty": torch.empty(0, 3),
    }


def decoded(encoded: Encoded) -> Artifact:
    decoder = Decoder(encoded.manifest)
    decoder.write(0, memoryview(b"".join(encoded.blobs)))
    return decoder.finish()


@pytest.mark.parametrize("encoding", ROUNDING)
def test_floats_are_rounded_and_all_else_travels_raw(encoding: Encoding) -> None:
    artifact = Artifact(weights(), {"step": 1}, encoding=encoding)
    encoded = encode(artifact)
    used = {tensor.name: tensor.encoding for tensor in encoded.manifest.tensors}
    column = "raw" if encoding == "Int8" else encoding.lower()  # a scale a row is no saving
    assert used == {
        "weight": encoding.lower(),
        "wide": encoding.lower(),
        "column": column,
        "steps": "raw",
        "mask": "raw",
        "half": "raw",
        "infinite": "raw",
        "empty": "raw",
    }
    back = decoded(encoded)
    assert back.encoding == encoding
    for name, tensor in artifact.tensors.items():
        assert (back.tensors[name].dtype, back.tensors[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(back.tensors[name], tensor) is (used[name] == "raw")
        assert torch.equal(back.tensors[name], received({"x": tensor}, encoding)["x"])


@pytest.mark.parametrize("encoding", ROUNDING)
def test_the_bound_is_in_the_metadata(encoding: Encoding) -> None:
    metadata = encode(Artifact(weights(), encoding=encoding)).manifest.metadata
    bound = BOUNDS[encoding]
    assert metadata["encoding"] == {
        "name": encoding,
        "errorBound": {"relative": bound.relative, "absolute": bound.absolute, "of": bound.of},
    }


def test_what_is_exact_says_nothing_and_keeps_its_digest() -> None:
    whole = {"steps": torch.tensor(7)}
    for encoding in ROUNDING:
        rounded = encode(Artifact(whole, encoding=encoding)).manifest
        assert rounded.digest == encode(Artifact(whole)).manifest.digest
        assert "encoding" not in rounded.metadata


@pytest.mark.parametrize("encoding", ROUNDING)
def test_publishing_what_was_fetched_gives_the_same_digest(encoding: Encoding) -> None:
    hub, other = MemoryArtifacts(), MemoryArtifacts()
    bound = hub.publish(REF, Artifact(weights(), {"step": 1}, encoding=encoding))
    fetched = hub.fetch(REF)
    assert other.publish(REF, fetched).digest == bound.digest
    exact = encode(replace(fetched, encoding="Raw")).manifest
    assert "encoding" not in exact.metadata


@pytest.mark.parametrize(
    ("encoding", "share"), [("Raw", 1.0), ("BFloat16", 0.5), ("Float16", 0.5), ("Int8", 0.2656)]
)
def test_bytes_saved(encoding: Encoding, share: float) -> None:
    tensors = {"w": weights()["weight"]}
    assert encode(Artifact(tensors, encoding=encoding)).manifest.size_bytes == round(8192 * share)


def test_an_encoding_of_a_later_version_is_refused_by_the_reader_in_one_line() -> None:
    document = json.loads(encode(Artifact({"w": torch.ones(4)})).manifest.to_bytes())
    document["tensors"][0][3] = "int4"
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    manifest = manifests.parse(content)  # a hub keeps what it cannot decode
    with pytest.raises(ContractError) as caught:
        Decoder(manifest)
    assert str(caught.value) == (
        "tensor 'w' is encoded as 'int4', this version reads raw, bfloat16, float16, int8, "
        "delta, unchanged: "
        "update Atoll here, or publish with exchange.encoding Raw"
    )


def test_bytes_that_no_encoder_writes_are_refused() -> None:
    encoded = encode(Artifact({"w": torch.ones(8, 8)}, encoding="Int8"))
    decoder = Decoder(encoded.manifest)
    decoder.write(0, memoryview(b"\xff" * sum(map(len, encoded.blobs))))
    with pytest.raises(CorruptArtifactError, match="'w' cannot be decoded from int8: a scale"):
        decoder.finish()


def test_equal_tensors_of_different_types_share_bytes_but_not_memory() -> None:
    twice = {"a": torch.zeros(8, 8), "b": torch.zeros(8, 8, dtype=torch.float64)}
    back = decoded(encode(Artifact(twice, encoding="BFloat16")))
    back.tensors["a"].fill_(1)
    assert not bool(back.tensors["b"].any())
