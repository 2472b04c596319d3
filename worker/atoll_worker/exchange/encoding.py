"""Between artifacts and blobs: the only place where tensors become bytes, and bytes tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from atoll_worker.errors import RejectedError
from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.codecs import raw
from atoll_worker.exchange.manifest import Blob, Manifest, ManifestError, TensorEntry
from atoll_worker.ports import Artifact


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

    Raises:
        RejectedError: the artifact exceeds a limit of `manifest`, or has a type it lacks.
    """
    blobs: dict[str, memoryview] = {}
    entries = [_encode(name, artifact.tensors[name], blobs) for name in sorted(artifact.tensors)]
    made = Manifest(tuple(entries), artifact.metadata, artifact.parents)
    try:
        checked = manifests.parse(made.to_bytes())
    except ManifestError as error:
        raise RejectedError(f"the artifact cannot be published: {error}") from error
    return Encoded(checked, blobs)


def _encode(name: str, tensor: Tensor, blobs: dict[str, memoryview]) -> TensorEntry:
    if tensor.dtype not in raw.NAMES:
        raise RejectedError(f"tensor {name!r} has type {tensor.dtype}, known: {list(raw.DTYPES)}")
    listed = []
    for piece in raw.split(raw.view(tensor)):
        blob = Blob(manifests.digest_of(piece), len(piece))
        blobs.setdefault(blob.digest, piece)
        listed.append(blob)
    return TensorEntry(
        name, raw.NAMES[tensor.dtype], tuple(tensor.shape), manifests.RAW, tuple(listed)
    )


class Decoder:
    """Tensors allocated for a manifest, and where in them the bytes of each blob go."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._tensors = {
            tensor.name: raw.allocate(tensor.dtype, tensor.shape) for tensor in manifest.tensors
        }
        self._places: dict[str, list[memoryview]] = {}
        for tensor in manifest.tensors:
            content = raw.view(self._tensors[tensor.name])
            for blob in tensor.blobs:
                self._places.setdefault(blob.digest, []).append(content[: blob.size_bytes])
                content = content[blob.size_bytes :]

    def target(self, digest: str) -> memoryview:
        """The memory that the bytes of this blob must be written to."""
        return self._places[digest][0]

    def finish(self) -> Artifact:
        """The artifact, once every target is full."""
        for first, *others in self._places.values():
            for other in others:
                other[:] = first
        return Artifact(self._tensors, self._manifest.metadata, self._manifest.parents)
