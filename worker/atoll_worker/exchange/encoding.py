"""From artifacts to content: the only place where tensors become bytes; `decoding` goes back."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from pydantic import JsonValue
from torch import Tensor

from atoll_api.spec.exchange import Encoding
from atoll_worker.errors import ContractError, RejectedError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.bases import ENCODING_KEY, MAX_DEPTH, BaseName
from atoll_worker.exchange.codecs import layout, raw
from atoll_worker.exchange.codecs.base import Codec, OutsideDomainError
from atoll_worker.exchange.codecs.registry import BOUNDS, encoders
from atoll_worker.exchange.content import Blob, digest_of
from atoll_worker.exchange.manifest import Manifest, ManifestError, TensorEntry
from atoll_worker.ports import Artifact, Base


@dataclass(frozen=True)
class Encoded:
    """An artifact ready for the wire. The blobs are views of the tensors: do not change them."""

    manifest: Manifest
    blobs: Sequence[memoryview]
    """Those of the manifest's content."""


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
    domain, the codec would not save a byte, or a Delta has nothing like it to be taken against.
    If any does not, the metadata say how far it is rounded, and against what.

    Raises:
        RejectedError: the artifact exceeds a limit of `manifest`, or has a type it lacks.
        ContractError: it is a delta of a delta, and so on, too many times.
    """
    blobs = dict[str, memoryview]()
    entries = [_encode(name, artifact, blobs) for name in sorted(artifact.tensors)]
    metadata = {key: it for key, it in artifact.metadata.items() if key != ENCODING_KEY}
    if any(entry.encoding != layout.RAW for entry in entries):
        _require_depth(artifact)
        metadata[ENCODING_KEY] = _description(artifact)
    made = Manifest(tuple(entries), metadata, artifact.parents)
    try:
        checked = manifests.checked(made)
    except ManifestError as error:
        raise RejectedError(f"the artifact cannot be published: {error}") from error
    return Encoded(checked, tuple(blobs.values()))


def received(
    tensors: Mapping[str, Tensor], encoding: Encoding, base: Base | None = None
) -> dict[str, Tensor]:
    """The tensors as a reader will have them; those that travel raw are the same objects."""
    return {
        name: _received(tensor, encoders(encoding, _tensor_of(base, name)))
        for name, tensor in tensors.items()
    }


def _tensor_of(base: Base | None, name: str) -> Tensor | None:
    return None if base is None else base.artifact.tensors.get(name)


def _received(tensor: Tensor, codecs: Sequence[Codec]) -> Tensor:
    used, content = _content(tensor, codecs)
    if used.name == layout.RAW:
        return tensor
    flat = content.reshape(-1).view(torch.uint8)
    return used.decode(flat, tensor.dtype, tuple(tensor.shape))


def _content(tensor: Tensor, codecs: Sequence[Codec]) -> tuple[Codec, Tensor]:
    """The first codec that takes the tensor, and its encoding; the last is raw: the tensor."""
    for codec in codecs[:-1]:
        if layout.pays(codec.name, raw.NAMES.get(tensor.dtype, ""), tuple(tensor.shape)):
            with suppress(OutsideDomainError):
                return codec, codec.encode(tensor)
    return raw.CODEC, tensor


def _encode(name: str, artifact: Artifact, blobs: dict[str, memoryview]) -> TensorEntry:
    tensor = artifact.tensors[name]
    if tensor.dtype not in raw.NAMES:
        raise RejectedError(f"tensor {name!r} has type {tensor.dtype}, known: {list(raw.DTYPES)}")
    codecs = encoders(artifact.encoding, _tensor_of(artifact.base, name))
    used, content = _content(tensor, codecs)
    listed = []
    for piece in _split(raw.view(content)):
        blob = Blob(digest_of(piece), len(piece))
        blobs.setdefault(blob.digest, piece)
        listed.append(blob)
    return TensorEntry(name, raw.NAMES[tensor.dtype], tuple(tensor.shape), used.name, tuple(listed))


def _split(content: memoryview) -> Sequence[memoryview]:
    """Pieces of at most one blob; none for no bytes."""
    limit = manifests.MAX_BLOB_BYTES
    return [content[start : start + limit] for start in range(0, len(content), limit)]


def _require_depth(artifact: Artifact) -> None:
    base = artifact.base
    if base is not None and base.depth > MAX_DEPTH:
        raise ContractError(
            f"the artifact is {base.depth} deltas deep, the limit is {MAX_DEPTH}: publish "
            f"{base.ref} with exchange.encoding Raw"
        )


def _description(artifact: Artifact) -> JsonValue:
    bound = BOUNDS[artifact.encoding]
    error: dict[str, JsonValue] = {
        "relative": bound.relative,
        "absolute": bound.absolute,
        "of": bound.of,
    }
    said: dict[str, JsonValue] = {"name": artifact.encoding, "errorBound": error}
    if artifact.base is not None:
        error["ofBase"] = bound.of_base
        said["base"] = BaseName(artifact.base.ref, artifact.base.digest).to_document()
    return said
