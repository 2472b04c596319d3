"""What an artifact is: a list of tensors, the blobs that hold them, and what is said of them.

Pure, without torch or numpy: the hub reads manifests too. `parse` reads bytes that nobody
vouches for; everything past it may be trusted.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Final, NamedTuple, TypeGuard

from pydantic import JsonValue

from atoll_worker.exchange import plain_rows
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
_DIGESTS = re.compile(r"(?:blake3:[0-9a-f]{64}\n)*+")
_ENCODING = re.compile(r"[a-z0-9-]{1,32}")
_REF_SEGMENT = re.compile(r"[a-z0-9-]+")
_SCHEMA: Final = 1
_COLUMNS: Final = 5
_Column = Sequence[Any]


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
    if manifest.tensors:
        _check_columns(*zip(*manifest.tensors, strict=True))
    _parse_parents(list(manifest.parents))
    _check_blobs(manifest)
    manifest.to_bytes()
    return manifest


ABSENCE: Final = Manifest(())
"""What a ref is bound to whose snapshot did not come in time: the same for all."""


def parse(content: bytes) -> Manifest:
    """Read a manifest that anybody may have written.

    Raises:
        ManifestError: naming the limit that is broken, or what is not as it should be.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise ManifestError(
            f"the manifest has {len(content)} bytes, the limit is {MAX_MANIFEST_BYTES}"
        )
    rest, plain = plain_rows.take_out(content)
    document = _load(rest)
    if set(document) != {"schema", "tensors", "metadata", "parents"}:
        raise ManifestError("the manifest has other keys than schema, tensors, metadata, parents")
    schema = document["schema"]
    if not _is_count(schema) or schema != _SCHEMA:
        raise ManifestError(f"the manifest has schema {schema!r:.40}, not {_SCHEMA}")
    if not isinstance(document["metadata"], dict):
        raise ManifestError("the manifest's metadata are no object")
    manifest = Manifest(
        tensors=_entries(_parse_tensors(document["tensors"]) if plain is None else plain),
        metadata=document["metadata"],
        parents=_parse_parents(document["parents"]),
    )
    _check_blobs(manifest)
    if _canonical(document) != rest:
        raise ManifestError("the manifest is not written canonically")
    manifest.__dict__["_encoded"] = content  # what it would be written as
    return manifest


def _canonical(document: object) -> bytes:
    try:
        text = json.dumps(
            document,
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
            ensure_ascii=True,
            check_circular=False,  # a circle ends as too deep a nesting does
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


def _entries(columns: Sequence[_Column]) -> tuple[TensorEntry, ...]:
    if not columns:
        return ()
    _check_columns(*columns)
    return tuple(map(TensorEntry, *columns))


def _parse_tensors(rows: object) -> Sequence[_Column]:
    """The columns; none if there are no tensors."""
    if not isinstance(rows, list):
        raise ManifestError("the manifest's tensors are no list")
    _check_length(rows)
    if not all(isinstance(row, list) and len(row) == _COLUMNS for row in rows):
        raise ManifestError("a tensor is not [name, dtype, shape, encoding, blobs]")
    if not rows:
        return ()
    names, dtypes, shapes, encodings, blobs = zip(*rows, strict=True)
    return names, dtypes, [*map(_tuple, shapes)], encodings, [*map(_blobs, blobs)]


def _tuple(values: object) -> Any:
    return tuple(values) if isinstance(values, list) else values


def _blobs(blobs: object) -> Any:
    """Blobs, or whatever it is: `_check_listed` looks."""
    if not isinstance(blobs, list):
        return blobs
    return tuple([Blob(*it) if isinstance(it, list) and len(it) == 2 else it for it in blobs])


def _check_columns(
    names: _Column, dtypes: _Column, shapes: _Column, encodings: _Column, blobs: _Column
) -> None:
    """See that nothing is of another type than it says, and that no limit is broken.

    There are up to 20,000 rows, most manifests are in order, and many tensors are alike: what
    shows by a look at a whole column, or at one tensor of a kind, is not looked for in each.
    """
    _check_length(names)
    _check_names(names)
    needed = _needed(names, dtypes, shapes, encodings)
    if not _are_sound(blobs):
        for name, listed in zip(names, blobs, strict=True):
            _check_listed(name, listed)
    given = [sum([size for _, size in listed]) for listed in blobs]
    if given == needed:
        return
    for name, encoding, needs, has in zip(names, encodings, needed, given, strict=True):
        if needs not in (None, has):
            raise ManifestError(
                f"tensor {name!r} needs {needs} bytes by its shape and encoding {encoding}, "
                f"its blobs have {has}"
            )


def _check_length(rows: _Column) -> None:
    if len(rows) > MAX_TENSORS:
        raise ManifestError(f"{len(rows)} tensors, the limit is {MAX_TENSORS}")


def _check_names(names: _Column) -> None:
    if not _are(str, names) or not all(names):
        raise ManifestError("a tensor has no name")
    for name in names if len(max(names, key=len)) * 4 > MAX_NAME_BYTES else ():
        if len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
            raise ManifestError(
                f"the tensor name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes"
            )
    if len(set(names)) != len(names):
        raise ManifestError("two tensors have the same name")


def _needed(
    names: _Column, dtypes: _Column, shapes: _Column, encodings: _Column
) -> Sequence[int | None]:
    """See `_needed_bytes`, of each tensor."""
    kinds = list(zip(dtypes, shapes, encodings, strict=True))
    plain = _are(str, dtypes) and _are(str, encodings) and _are(tuple, shapes)
    if not plain or not _are(int, chain.from_iterable(shapes)):  # a dict takes True for 1
        return [_needed_bytes(name, *kind) for name, kind in zip(names, kinds, strict=True)]
    first: dict[tuple[Any, ...], int] = {}
    alike = list(map(first.setdefault, kinds, range(len(kinds))))  # each to the first of its kind
    needed = {row: _needed_bytes(names[row], *kind) for kind, row in first.items()}
    return [needed[row] for row in alike]


def _needed_bytes(name: str, dtype: Any, shape: Any, encoding: Any) -> int | None:
    """What the blobs of a tensor have together; None where only readers of later versions know."""
    if not isinstance(dtype, str) or dtype not in layout.ITEM_BYTES:
        raise ManifestError(f"tensor {name!r} has the unknown type {str(dtype)[:40]!r}")
    _check_encoding(name, encoding)
    _check_shape(name, shape)
    if encoding not in layout.ENCODINGS:
        return None
    try:
        return layout.encoded_bytes(encoding, dtype, shape)
    except ValueError as error:
        raise ManifestError(f"tensor {name!r}: {error}") from error


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


def _are_sound(blobs: _Column) -> bool:
    """Whether `_check_listed` would refuse none: one look at all."""
    if not _are(tuple, blobs):
        return False
    listed = list(chain.from_iterable(blobs))
    if not _are(Blob, listed):
        return False
    sizes = [size for _, size in listed]
    is_typed = _are(str, [digest for digest, _ in listed]) and _are(int, sizes)
    return is_typed and all(0 < size <= MAX_BLOB_BYTES for size in set(sizes))


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
    distinct = set(chain.from_iterable([tensor.blobs for tensor in manifest.tensors]))
    sizes = dict(manifest.content.blobs)
    _check_digests([*sizes])
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


def _are(kind: type, values: Iterable[object]) -> bool:
    """Whether all are of a type, of which each is looked at once; True is no int here."""
    return all(issubclass(it, kind) and it is not bool for it in set(map(type, values)))


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
