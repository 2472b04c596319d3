"""What is said to be an artifact: a manifest and its bytes are read as they were, or refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import torch
from damage import altered, altered_json, damaged, nonsense
from fuzzing import Fuzz
from pydantic import JsonValue

from atoll_worker.errors import ContractError, CorruptArtifactError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange import pack as packs
from atoll_worker.exchange.bases import base_name
from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.decoding import Decoder
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.manifest import Manifest, ManifestError
from atoll_worker.ports import Artifact, Base

MOST_CHARACTERS: Final = 2000
MOST_BYTES: Final = 16 << 20
"""Of an artifact that is decoded here: what a manifest asks for is checked against its limits alone."""
NAMES: Final = ("a", "a/b", "é", "x" * 100)


@dataclass(frozen=True)
class Sent:
    """An artifact as it travels."""

    manifest: bytes
    content: bytes
    base: Base | None


def artifacts() -> Sequence[Sent]:
    """One for each encoding, and some with much in their metadata or with no tensors."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "weights": torch.randn((33, 17), generator=generator),
        "half": torch.randn((65,), generator=generator).to(torch.bfloat16),
        "twice": torch.zeros((4, 4)),
        "again": torch.zeros((4, 4)),
        "nothing": torch.zeros((0, 3)),
        "scalar": torch.tensor(1.5),
        "steps": torch.tensor([1, 2, 3]),
        "mask": torch.tensor([True, False]),
    }
    first = Artifact(tensors)
    base = Base(manifests.check_ref("init"), encode(first).manifest.digest, first)  # type: ignore[arg-type]
    later = {name: it + 1 if it.is_floating_point() else it for name, it in tensors.items()}
    metadata: dict[str, JsonValue] = {"role": "x", "step": 7, "nested": {"a": [1, 2.5, None, "é"]}}
    made = [
        first,
        Artifact({}),
        Artifact(tensors, metadata, ("blake3:" + "0" * 64,)),
        *(Artifact(later, encoding=it) for it in ("BFloat16", "Float16", "Int8")),
        Artifact(later, encoding="Delta", base=base),
    ]
    return [_sent(it) for it in made]


def _sent(artifact: Artifact) -> Sent:
    encoded = encode(artifact)
    return Sent(encoded.manifest.to_bytes(), b"".join(encoded.blobs), artifact.base)


def altered_manifest(random: Random, known: bytes) -> bytes:
    """Canonical, so that what is wrong is what it says and not how it is written."""
    document = altered(random, json.loads(known), (*layout.ITEM_BYTES, *layout.ENCODINGS, *NAMES))
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError):
        return json.dumps(nonsense(Random(1), 0)).encode()


def parse(content: bytes) -> Manifest | None:
    try:
        found = manifests.parse(content)
    except ManifestError as error:
        assert 0 < len(str(error)) < MOST_CHARACTERS, str(error)[:200]
        return None
    assert found.to_bytes() == content
    assert manifests.checked(found) == found
    return found


def decode(random: Random, sent: Sent, manifest: Manifest) -> str:
    """Any bytes of the right length: digests are the client's business, and have been checked."""
    if manifest.decoded_bytes + manifest.size_bytes > MOST_BYTES:
        return "large"
    size = manifest.content.size_bytes
    content = random.choice((sent.content, damaged(random, sent.content), random.randbytes(size)))
    content = content[:size].ljust(size, b"\x7f")
    try:
        base_name("experts/0", manifest)  # type: ignore[arg-type]
        decoder = Decoder(manifest, base=sent.base)
        for begin, end in decoder.wanted:
            decoder.write(begin, memoryview(content)[begin:end])
        artifact = decoder.finish()
    except (CorruptArtifactError, ContractError) as error:
        assert str(error)
        return "not decoded"
    for entry in manifest.tensors:
        assert tuple(artifact.tensors[entry.name].shape) == entry.shape
    return "decoded"


def read_pack(random: Random, sent: Sent) -> str:
    """The head of a pack, named by what it is: its index may still be anything."""
    manifest = manifests.parse(sent.manifest)
    whole = packs.head(sent.manifest, manifest.content.blobs)
    if random.random() < 0.5:
        blobs: Any = [list(it) for it in manifest.content.blobs]
        text = altered_json(random, json.dumps(blobs).encode())
        whole = packs.PREFIX.pack(b"ATOLPK01", len(sent.manifest), len(text)) + sent.manifest + text
    else:
        whole = damaged(random, whole)
    try:
        size = packs.head_bytes(whole[: packs.PREFIX.size])
        found = packs.read_head(packs.name_of(whole[:size]), whole[:size], random.choice((0, 4000)))
    except ValueError:  # the store passes over a pack that is none
        return "no pack"
    assert all(isinstance(it, str) for it in found.blobs)
    return "pack"


def test_manifests(fuzz: Fuzz) -> None:
    known = artifacts()

    def case(random: Random) -> str:
        sent = random.choice(known)
        way = random.randrange(10)
        if way == 0:
            return read_pack(random, sent)
        if way < 3:
            return decode(random, sent, manifests.parse(sent.manifest))
        change = damaged if way == 3 else altered_manifest
        manifest = parse(change(random, sent.manifest))
        return "no manifest" if manifest is None else decode(random, sent, manifest)

    meets = {"no manifest", "decoded", "not decoded", "pack", "no pack"}
    fuzz.run("manifests", case, meets)
