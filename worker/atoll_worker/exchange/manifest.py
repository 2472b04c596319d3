"""What an artifact is: a list of tensors, the blobs that hold them, and what is said of them.

Pure, without torch or numpy: the hub reads manifests too. `parse` reads bytes that nobody
vouches for; everything past it may be trusted.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeGuard

from blake3 import blake3
from pydantic import JsonValue

from atoll_worker.exchange.codecs import layout

MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024
MAX_TENSORS: Final = 20_000
MAX_RANK: Final = 8
MAX_NAME_BYTES: Final = 512
MAX_BLOB_BYTES: Final = 64 * 1024 * 1024
MAX_ARTIFACT_BYTES: Final = 1024**4
MAX_PARENTS: Final = 4096
MAX_REF_BYTES: Final = 256

_DIGEST = re.compile(r"blake3:[0-9a-f]{64}")
_ENCODING = re.compile(r"[a-z0-9-]{1,32}")
_REF_SEGMENT = re.compile(r"[a-z0-9-]+")
_SCHEMA: Final = 1


class ManifestError(ValueError):
    """A manifest, a digest or a ref that is refused; the message names the limit it breaks."""


def digest_of(content: bytes | memoryview) -> str:
    """The name of these bytes."""
    return f"blake3:{blake3(content).hexdigest()}"


def check_digest(text: str) -> str:
    """The digest, if it is one.

    Raises:
        ManifestError: it is not `blake3:` and 64 lower-case hexadecimal digits.
    """
    if not _DIGEST.fullmatch(text):
        raise ManifestError(f"{text[:80]!r} is not a digest: `blake3:` and 64 hex digits")
    return text


def check_ref(ref: str) -> str:
    """The ref, if its name is one.

    Raises:
        ManifestError: it is too long, or not segments of [a-z0-9-] between single slashes.
    """
    if len(ref.encode()) > MAX_REF_BYTES:
        raise ManifestError(f"the ref {ref[:40]!r}... is longer than {MAX_REF_BYTES} bytes")
    if not all(_REF_SEGMENT.fullmatch(segment) for segment in ref.split("/")):
        raise ManifestError(f"{ref!r} is not a ref: segments of [a-z0-9-] between single slashes")
    return ref


@dataclass(frozen=True)
class Blob:
    """A run of bytes of one tensor's encoding."""

    digest: str
    size_bytes: int


@dataclass(frozen=True)
class TensorEntry:
    """One tensor and where its bytes are."""

    name: str
    dtype: str
    """A key of `layout.ITEM_BYTES`."""
    shape: tuple[int, ...]
    encoding: str
    """One of `layout.ENCODINGS`, or one that this version cannot read."""
    blobs: tuple[Blob, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor in memory, which are those of its raw encoding."""
        return layout.encoded_bytes(layout.RAW, self.dtype, self.shape)


@dataclass(frozen=True)
class Manifest:
    """Ordered tensors, metadata, and the digests of the artifacts this one was made from."""

    tensors: tuple[TensorEntry, ...]
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    parents: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal manifests have equal bytes, and so equal digests.

        Raises:
            ManifestError: the metadata are no JSON, or the bytes exceed `MAX_MANIFEST_BYTES`.
        """
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        document = {
            "schema": _SCHEMA,
            "tensors": [_tensor_document(tensor) for tensor in self.tensors],
            "metadata": self.metadata,
            "parents": list(self.parents),
        }
        try:
            content = _canonical(document)
        except (TypeError, ValueError, RecursionError) as error:
            raise ManifestError(f"the metadata cannot be written as JSON: {error}") from error
        if len(content) > MAX_MANIFEST_BYTES:
            raise ManifestError(
                f"the manifest has {len(content)} bytes, the limit is {MAX_MANIFEST_BYTES}"
            )
        return content

    @cached_property
    def digest(self) -> str:
        """The name of the artifact."""
        return digest_of(self.to_bytes())

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size_bytes for tensor in self.tensors for blob in tensor.blobs)

    @cached_property
    def decoded_bytes(self) -> int:
        """Bytes of all tensors in memory."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    def blobs(self) -> Iterator[Blob]:
        """Each distinct blob once, in the order of the tensors."""
        seen: set[str] = set()
        for tensor in self.tensors:
            for blob in tensor.blobs:
                if blob.digest not in seen:
                    seen.add(blob.digest)
                    yield blob


def parse(content: bytes) -> Manifest:
    """Read a manifest that anybody may have written.

    Raises:
        ManifestError: naming the limit that is broken, or what is not as it should be.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise ManifestError(
            f"the manifest has {len(content)} bytes, the limit is {MAX_MANIFEST_BYTES}"
        )
    document = _load(content)
    if set(document) != {"schema", "tensors", "metadata", "parents"}:
        raise ManifestError("the manifest has other keys than schema, tensors, metadata, parents")
    if document["schema"] != _SCHEMA:
        raise ManifestError(f"the manifest has schema {document['schema']!r}, not {_SCHEMA}")
    if not isinstance(document["metadata"], dict):
        raise ManifestError("the manifest's metadata are no object")
    manifest = Manifest(
        tensors=_parse_tensors(document["tensors"]),
        metadata=document["metadata"],
        parents=_parse_parents(document["parents"]),
    )
    _check_blobs(manifest)
    if manifest.to_bytes() != content:
        raise ManifestError("the manifest is not written canonically")
    return manifest


def _canonical(document: object) -> bytes:
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    ).encode()


def _load(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ManifestError("the manifest is not JSON, or nested too deeply") from error
    if not isinstance(document, dict):
        raise ManifestError("the manifest is no object")
    return document


def _tensor_document(tensor: TensorEntry) -> dict[str, object]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "encoding": tensor.encoding,
        "blobs": [[blob.digest, blob.size_bytes] for blob in tensor.blobs],
    }


def _parse_tensors(entries: object) -> tuple[TensorEntry, ...]:
    if not isinstance(entries, list):
        raise ManifestError("the manifest's tensors are no list")
    if len(entries) > MAX_TENSORS:
        raise ManifestError(f"{len(entries)} tensors, the limit is {MAX_TENSORS}")
    tensors = tuple(_parse_tensor(entry) for entry in entries)
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise ManifestError("two tensors have the same name")
    return tensors


def _parse_tensor(entry: object) -> TensorEntry:
    if not isinstance(entry, dict) or set(entry) != {"name", "dtype", "shape", "encoding", "blobs"}:
        raise ManifestError("a tensor has other keys than name, dtype, shape, encoding, blobs")
    name = _parse_name(entry["name"])
    tensor = TensorEntry(
        name=name,
        dtype=_parse_dtype(name, entry["dtype"]),
        shape=_parse_shape(name, entry["shape"]),
        encoding=_parse_encoding(name, entry["encoding"]),
        blobs=_parse_blobs(name, entry["blobs"]),
    )
    _check_size(tensor)
    return tensor


def _check_size(tensor: TensorEntry) -> None:
    """Encodings of later versions have sizes that only their readers know."""
    if tensor.encoding not in layout.ENCODINGS:
        return
    try:
        needed = layout.encoded_bytes(tensor.encoding, tensor.dtype, tensor.shape)
    except ValueError as error:
        raise ManifestError(f"tensor {tensor.name!r}: {error}") from error
    given = sum(blob.size_bytes for blob in tensor.blobs)
    if given != needed:
        raise ManifestError(
            f"tensor {tensor.name!r} needs {needed} bytes by its shape and encoding "
            f"{tensor.encoding}, its blobs have {given}"
        )


def _parse_dtype(name: str, dtype: object) -> str:
    if not isinstance(dtype, str) or dtype not in layout.ITEM_BYTES:
        raise ManifestError(f"tensor {name!r} has the unknown type {str(dtype)[:40]!r}")
    return dtype


def _parse_encoding(name: str, encoding: object) -> str:
    if not isinstance(encoding, str) or not _ENCODING.fullmatch(encoding):
        raise ManifestError(
            f"tensor {name!r} has the encoding {str(encoding)[:40]!r}, which is no name: 1 to 32 "
            "of [a-z0-9-]"
        )
    return encoding


def _parse_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ManifestError("a tensor has no name")
    if len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise ManifestError(
            f"the tensor name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes"
        )
    return name


def _parse_shape(name: str, shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(_is_count(size) for size in shape):
        raise ManifestError(f"the shape of tensor {name!r} is no list of sizes")
    if len(shape) > MAX_RANK:
        raise ManifestError(f"tensor {name!r} has rank {len(shape)}, the limit is {MAX_RANK}")
    if math.prod(shape) > MAX_ARTIFACT_BYTES or any(size > MAX_ARTIFACT_BYTES for size in shape):
        raise ManifestError(f"tensor {name!r} has more than {MAX_ARTIFACT_BYTES} bytes")
    return tuple(shape)


def _parse_blobs(name: str, blobs: object) -> tuple[Blob, ...]:
    if not isinstance(blobs, list):
        raise ManifestError(f"the blobs of tensor {name!r} are no list")
    return tuple(_parse_blob(name, blob) for blob in blobs)


def _parse_blob(name: str, blob: object) -> Blob:
    match blob:
        case [str(digest), size] if _is_count(size) and size > 0:
            if size > MAX_BLOB_BYTES:
                raise ManifestError(
                    f"a blob of tensor {name!r} has {size} bytes, the limit is {MAX_BLOB_BYTES}"
                )
            return Blob(check_digest(digest), size)
        case _:
            raise ManifestError(f"a blob of tensor {name!r} is not [digest, bytes]")


def _parse_parents(parents: object) -> tuple[str, ...]:
    if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents):
        raise ManifestError("the manifest's parents are no list of digests")
    if len(parents) > MAX_PARENTS:
        raise ManifestError(f"{len(parents)} parents, the limit is {MAX_PARENTS}")
    return tuple(check_digest(parent) for parent in parents)


def _check_blobs(manifest: Manifest) -> None:
    sizes: dict[str, int] = {}
    for tensor in manifest.tensors:
        for blob in tensor.blobs:
            if sizes.setdefault(blob.digest, blob.size_bytes) != blob.size_bytes:
                raise ManifestError(f"the blob {blob.digest} is listed with two sizes")
    if manifest.size_bytes > MAX_ARTIFACT_BYTES:
        raise ManifestError(
            f"the artifact has {manifest.size_bytes} bytes, the limit is {MAX_ARTIFACT_BYTES}"
        )
    if manifest.decoded_bytes > MAX_ARTIFACT_BYTES:
        raise ManifestError(
            f"the artifact has {manifest.decoded_bytes} bytes in memory, the limit is "
            f"{MAX_ARTIFACT_BYTES}"
        )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
