"""Between artifacts and blobs: the only place where tensors become bytes, and bytes tensors."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import torch
from pydantic import JsonValue
from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.errors import ContractError, CorruptArtifactError, RejectedError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.codecs import layout, raw
from atoll_worker.exchange.codecs.base import Codec, DamagedError, OutsideDomainError
from atoll_worker.exchange.codecs.registry import CODECS, ENCODINGS
from atoll_worker.exchange.manifest import Blob, Manifest, ManifestError, TensorEntry
from atoll_worker.ports import Artifact

ENCODING_KEY: Final = "encoding"
"""Where the metadata of a rounded artifact say how, and within which bound."""


@dataclass(frozen=True)
class Encoded:
    """An artifact ready for the wire. The blobs are views of the tensors: do not change them."""

    manifest: Manifest
    blobs: Mapping[str, memoryview]


def check_ref(ref: str) -> str:
    """The ref, if its name is one.

    Raises:
        RejectedError: it is not.
    """
    try:
        return manifests.check_ref(ref)
    except ManifestError as error:
        raise RejectedError(f"{error}: rename it") from error


def encode(artifact: Artifact) -> Encoded:
    """Name every tensor by its bytes; tensors are listed by name, so equal artifacts are equal.

    A tensor travels raw where its type is no float, its values are outside of the codec's
    domain, or the codec would not save a byte. If any is rounded, the metadata say how far.

    Raises:
        RejectedError: the artifact exceeds a limit of `manifest`, or has a type it lacks.
    """
    codec, blobs = CODECS[artifact.encoding], dict[str, memoryview]()
    entries = [
        _encode(name, artifact.tensors[name], codec, blobs) for name in sorted(artifact.tensors)
    ]
    metadata = {key: it for key, it in artifact.metadata.items() if key != ENCODING_KEY}
    if any(entry.encoding != layout.RAW for entry in entries):
        metadata[ENCODING_KEY] = _description(artifact.encoding)
    made = Manifest(tuple(entries), metadata, artifact.parents)
    try:
        checked = manifests.parse(made.to_bytes())
    except ManifestError as error:
        raise RejectedError(f"the artifact cannot be published: {error}") from error
    return Encoded(checked, blobs)


def received(tensors: Mapping[str, Tensor], encoding: Encoding) -> dict[str, Tensor]:
    """The tensors as a reader will have them; those that travel raw are the same objects."""
    codec = CODECS[encoding]
    return {name: _received(tensor, codec) for name, tensor in tensors.items()}


def _received(tensor: Tensor, codec: Codec) -> Tensor:
    used, content = _content(tensor, codec)
    if used.name == layout.RAW:
        return tensor
    flat = content.reshape(-1).view(torch.uint8)
    return used.decode(flat, tensor.dtype, tuple(tensor.shape))


def _content(tensor: Tensor, codec: Codec) -> tuple[Codec, Tensor]:
    """The tensor's encoding, and the codec that made it."""
    if layout.pays(codec.name, raw.NAMES.get(tensor.dtype, ""), tuple(tensor.shape)):
        with suppress(OutsideDomainError):
            return codec, codec.encode(tensor)
    return raw.CODEC, raw.CODEC.encode(tensor)


def _encode(name: str, tensor: Tensor, codec: Codec, blobs: dict[str, memoryview]) -> TensorEntry:
    if tensor.dtype not in raw.NAMES:
        raise RejectedError(f"tensor {name!r} has type {tensor.dtype}, known: {list(raw.DTYPES)}")
    used, content = _content(tensor, codec)
    listed = []
    for piece in _split(raw.view(content)):
        blob = Blob(manifests.digest_of(piece), len(piece))
        blobs.setdefault(blob.digest, piece)
        listed.append(blob)
    return TensorEntry(name, raw.NAMES[tensor.dtype], tuple(tensor.shape), used.name, tuple(listed))


def _split(content: memoryview) -> Iterator[memoryview]:
    """Pieces of at most one blob; none for no bytes."""
    for start in range(0, len(content), manifests.MAX_BLOB_BYTES):
        yield content[start : start + manifests.MAX_BLOB_BYTES]


def _description(encoding: Encoding) -> JsonValue:
    bound = CODECS[encoding].bound
    error: JsonValue = {"relative": bound.relative, "absolute": bound.absolute, "of": bound.of}
    return {"name": encoding, "errorBound": error}


class Decoder:
    """Memory for the blobs of a manifest, and the tensors that they become.

    Raises:
        ContractError: a tensor is encoded in a way that this version cannot read.
    """

    def __init__(self, manifest: Manifest, into: Mapping[str, Tensor] | None = None) -> None:
        """Take memory.

        Args:
            manifest: What will arrive.
            into: Tensors to overwrite, by name, where one fits: to touch new memory costs more
                than to receive.
        """
        self._manifest = manifest
        self._encoding = _encoding_of(manifest)
        self._contents: list[Tensor] = []
        self._places: dict[str, list[memoryview]] = {}
        for tensor in manifest.tensors:
            size = layout.encoded_bytes(tensor.encoding, tensor.dtype, tensor.shape)
            reused = _reusable(tensor, (into or {}).get(tensor.name))
            fresh = torch.empty(size, dtype=torch.uint8) if reused is None else reused
            self._contents.append(fresh)
            content = raw.view(self._contents[-1])
            for blob in tensor.blobs:
                self._places.setdefault(blob.digest, []).append(content[: blob.size_bytes])
                content = content[blob.size_bytes :]

    def target(self, digest: str) -> memoryview:
        """The memory that the bytes of this blob must be written to."""
        return self._places[digest][0]

    def finish(self) -> Artifact:
        """The artifact, once every target is full; the decoder is of no use any more.

        Raises:
            CorruptArtifactError: the bytes are none that this encoding makes.
        """
        for first, *others in self._places.values():
            for other in others:
                other[:] = first
        self._places.clear()
        self._contents.reverse()  # each is freed as soon as it is decoded
        tensors = {it.name: _decode(it, self._contents.pop()) for it in self._manifest.tensors}
        manifest = self._manifest
        return Artifact(tensors, manifest.metadata, manifest.parents, self._encoding)


def _reusable(entry: TensorEntry, tensor: Tensor | None) -> Tensor | None:
    """The memory of a tensor as bytes, if the entry's raw bytes can be written there."""
    if tensor is None or entry.encoding != layout.RAW or not tensor.is_contiguous():
        return None
    fits = (raw.NAMES.get(tensor.dtype), tuple(tensor.shape)) == (entry.dtype, entry.shape)
    if not fits or tensor.device.type != "cpu":
        return None
    return tensor.detach().reshape(-1).view(torch.uint8)


def _encoding_of(manifest: Manifest) -> Encoding:
    used = {tensor.encoding: tensor.name for tensor in manifest.tensors}
    for encoding, name in used.items():
        if encoding not in ENCODINGS:
            raise ContractError(
                f"tensor {name!r} is encoded as {encoding!r}, this version reads "
                f"{', '.join(ENCODINGS)}: update Atoll here, or publish with exchange.encoding Raw"
            )
    return next((ENCODINGS[it] for it in sorted(used) if it != layout.RAW), "Raw")


def _decode(entry: TensorEntry, content: Tensor) -> Tensor:
    codec = CODECS[ENCODINGS[entry.encoding]]
    try:
        return codec.decode(content, raw.DTYPES[entry.dtype], entry.shape)
    except DamagedError as error:
        raise CorruptArtifactError(
            f"tensor {entry.name!r} cannot be decoded from {entry.encoding}: {error}; "
            "publish it again"
        ) from error
