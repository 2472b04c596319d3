"""What an artifact is: a list of tensors, the blobs that hold them, and what is said of them.

Pure, without torch or numpy: the hub reads manifests too. `parse` reads bytes that nobody
vouches for; everything past it may be trusted.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeGuard

from pydantic import JsonValue

from atoll_worker.exchange.codecs import layout
from atoll_worker.exchange.content import Blob, Content, ContentError, digest_of

MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024
MAX_TENSORS: Final = 20_000
MAX_RANK: Final = 8
MAX_NAME_BYTES: Final = 512
MAX_BLOB_BYTES: Final = 64 * 1024 * 1024
MAX_ARTIFACT_BYTES: Final = 1024**4
MAX_PARENTS: Final = 4096
MAX_REF_BYTES: Final = 256

_DIGEST = re.compile(r"blake3:[0-9a-f]{64}")
_DIGESTS = re.compile(r"(?:blake3:[0-9a-f]{64}\n)*")
_ENCODING = re.compile(r"[a-z0-9-]{1,32}")
_REF_SEGMENT = re.compile(r"[a-z0-9-]+")
_SCHEMA: Final = 1
_COLUMNS: Final = 5


class ManifestError(ContentError):
    """A manifest, a digest or a ref that is refused; the message names the limit it breaks."""


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


class TensorEntry(NamedTuple):
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
            "tensors": self.tensors,  # each an array: [name, dtype, shape, encoding, blobs]
            "metadata": self.metadata,
            "parents": list(self.parents),
        }
        content = _canonical(document)
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
    def content(self) -> Content:
        """All distinct blobs, in the order of the tensors."""
        blobs: dict[str, Blob] = {}
        for tensor in self.tensors:
            for blob in tensor.blobs:
                blobs.setdefault(blob.digest, blob)
        return Content(blobs.values())

    @cached_property
    def decoded_bytes(self) -> int:
        """Bytes of all tensors in memory."""
        return sum(tensor.size_bytes for tensor in self.tensors)


def checked(manifest: Manifest) -> Manifest:
    """The manifest, if `parse` would read it back.

    Raises:
        ManifestError: naming the limit that is broken, or what is not as it should be.
    """
    if len(manifest.tensors) > MAX_TENSORS:
        raise ManifestError(f"{len(manifest.tensors)} tensors, the limit is {MAX_TENSORS}")
    _check_tensors(manifest.tensors)
    _parse_parents(list(manifest.parents))
    _check_blobs(manifest)
    manifest.to_bytes()
    return manifest


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
    if _canonical(document) != content:
        raise ManifestError("the manifest is not written canonically")
    manifest.__dict__["_encoded"] = content  # what it would be written as
    return manifest


def _canonical(document: object) -> bytes:
    try:
        text = json.dumps(
            document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"the metadata cannot be written as JSON: {error}") from error
    return text.encode()


def _load(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ManifestError("the manifest is not JSON, or nested too deeply") from error
    if not isinstance(document, dict):
        raise ManifestError("the manifest is no object")
    return document


def _parse_tensors(rows: object) -> tuple[TensorEntry, ...]:
    if not isinstance(rows, list):
        raise ManifestError("the manifest's tensors are no list")
    if len(rows) > MAX_TENSORS:
        raise ManifestError(f"{len(rows)} tensors, the limit is {MAX_TENSORS}")
    if not all(isinstance(row, list) and len(row) == _COLUMNS for row in rows):
        raise ManifestError("a tensor is not [name, dtype, shape, encoding, blobs]")
    tensors = [
        TensorEntry(name, dtype, _tuple(shape), encoding, _blobs(blobs))
        for name, dtype, shape, encoding, blobs in rows
    ]
    _check_tensors(tensors)
    return tuple(tensors)


def _tuple(values: object) -> Any:
    return tuple(values) if isinstance(values, list) else values


def _blobs(blobs: object) -> Any:
    """Blobs, or whatever it is: `_check_tensors` looks."""
    if not isinstance(blobs, list):
        return blobs
    return tuple([Blob(*it) if isinstance(it, list) and len(it) == 2 else it for it in blobs])


def _check_tensors(tensors: Sequence[TensorEntry]) -> None:
    """See that nothing is of another type than it says, and that no limit is broken.

    A column at a time: there are up to 20,000 rows, and most manifests are in order.
    """
    if not tensors:
        return
    names, dtypes, shapes, encodings, blobs = zip(*tensors, strict=True)
    _check_names(names)
    for name, dtype in zip(names, dtypes, strict=True):
        if not isinstance(dtype, str) or dtype not in layout.ITEM_BYTES:
            raise ManifestError(f"tensor {name!r} has the unknown type {str(dtype)[:40]!r}")
    for name, encoding in zip(names, encodings, strict=True):
        if encoding != layout.RAW:
            _check_encoding(name, encoding)
    for name, shape in zip(names, shapes, strict=True):
        _check_shape(name, shape)
    for name, listed in zip(names, blobs, strict=True):
        _check_listed(name, listed)
    for tensor in tensors:
        _check_size(tensor)


def _check_names(names: Sequence[object]) -> None:
    for name in names:
        if not isinstance(name, str) or not name:
            raise ManifestError("a tensor has no name")
        if len(name) * 4 > MAX_NAME_BYTES < len(name.encode(errors="surrogatepass")):
            raise ManifestError(
                f"the tensor name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes"
            )
    if len(set(names)) != len(names):
        raise ManifestError("two tensors have the same name")


def _check_encoding(name: str, encoding: object) -> None:
    if not isinstance(encoding, str) or not _ENCODING.fullmatch(encoding):
        raise ManifestError(
            f"tensor {name!r} has the encoding {str(encoding)[:40]!r}, which is no name: 1 to 32 "
            "of [a-z0-9-]"
        )


def _check_shape(name: str, shape: object) -> None:
    if not isinstance(shape, tuple) or not all(map(_is_count, shape)):
        raise ManifestError(f"the shape of tensor {name!r} is no list of sizes")
    if len(shape) > MAX_RANK:
        raise ManifestError(f"tensor {name!r} has rank {len(shape)}, the limit is {MAX_RANK}")
    if max(math.prod(shape), *shape, 0) > MAX_ARTIFACT_BYTES:
        raise ManifestError(f"tensor {name!r} has more than {MAX_ARTIFACT_BYTES} bytes")


def _check_listed(name: str, blobs: Any) -> None:
    if not isinstance(blobs, tuple):
        raise ManifestError(f"the blobs of tensor {name!r} are no list")
    for blob in blobs:
        values: tuple[object, object] = blob if isinstance(blob, Blob) else (None, None)
        digest, size = values  # `_check_blobs` looks at all digests together
        if not isinstance(digest, str) or not _is_count(size) or size == 0:
            raise ManifestError(f"a blob of tensor {name!r} is not [digest, bytes]")
        if size > MAX_BLOB_BYTES:
            raise ManifestError(
                f"a blob of tensor {name!r} has {size} bytes, the limit is {MAX_BLOB_BYTES}"
            )


def _check_size(tensor: TensorEntry) -> None:
    """Encodings of later versions have sizes that only their readers know."""
    if tensor.encoding not in layout.ENCODINGS:
        return
    try:
        needed = layout.encoded_bytes(tensor.encoding, tensor.dtype, tensor.shape)
    except ValueError as error:
        raise ManifestError(f"tensor {tensor.name!r}: {error}") from error
    given = sum([blob.size_bytes for blob in tensor.blobs])
    if given != needed:
        raise ManifestError(
            f"tensor {tensor.name!r} needs {needed} bytes by its shape and encoding "
            f"{tensor.encoding}, its blobs have {given}"
        )


def _parse_parents(parents: object) -> tuple[str, ...]:
    if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents):
        raise ManifestError("the manifest's parents are no list of digests")
    if len(parents) > MAX_PARENTS:
        raise ManifestError(f"{len(parents)} parents, the limit is {MAX_PARENTS}")
    _check_digests(parents)
    return tuple(parents)


def _check_digests(digests: Sequence[str]) -> None:
    """One look at thousands; only where it fails, one at each for its name."""
    if not _DIGESTS.fullmatch("\n".join([*digests, ""])):
        for digest in digests:
            check_digest(digest)


def _check_blobs(manifest: Manifest) -> None:
    distinct = {blob for tensor in manifest.tensors for blob in tensor.blobs}
    _check_digests([blob.digest for blob in distinct])
    sizes = dict(distinct)
    if len(sizes) < len(distinct):
        twice = next(blob.digest for blob in distinct if sizes[blob.digest] != blob.size_bytes)
        raise ManifestError(f"the blob {twice} is listed with two sizes")
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
