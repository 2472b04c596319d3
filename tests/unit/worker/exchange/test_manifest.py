"""Manifests from anybody: what is read, what is refused, and that the limit is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.manifest import Blob, Manifest, ManifestError, TensorEntry, digest_of

DIGEST = digest_of(b"x")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def a_manifest() -> Manifest:
    entry = TensorEntry("w", "float32", (2, 3), "raw", (Blob(DIGEST, 24),))
    return Manifest((entry,), {"step": 1}, (DIGEST,))


def altered(**changes: Any) -> bytes:
    document = json.loads(a_manifest().to_bytes())
    for key, value in changes.items():
        target = document["tensors"][0] if key in document["tensors"][0] else document
        target[key] = value
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_a_manifest_is_read_back() -> None:
    assert manifests.parse(a_manifest().to_bytes()) == a_manifest()


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_json_metadata_come_back(metadata: dict[str, Any]) -> None:
    made = Manifest((), metadata)
    assert manifests.parse(made.to_bytes()).digest == made.digest


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused_but_nothing_else(content: bytes) -> None:
    with pytest.raises(ManifestError):
        manifests.parse(content)


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"schema": 2}, "schema 2, not 1"),
        ({"surprise": 1}, "other keys"),
        ({"metadata": []}, "no object"),
        ({"parents": ["x"]}, "not a digest"),
        ({"parents": [DIGEST] * 4097}, "4097 parents, the limit is 4096"),
        ({"tensors": {}}, "no list"),
        ({"tensors": [{}] * 20_001}, "20001 tensors, the limit is 20000"),
        ({"name": ""}, "no name"),
        ({"name": "n" * 513}, "longer than 512 bytes"),
        ({"dtype": "complex64"}, "unknown type 'complex64'"),
        ({"encoding": "pickle"}, "unknown encoding 'pickle'"),
        ({"shape": [1] * 9}, "rank 9, the limit is 8"),
        ({"shape": [-6]}, "no list of sizes"),
        ({"shape": [True, 6]}, "no list of sizes"),
        ({"shape": [2, 4]}, "needs 32 bytes by its shape, its blobs have 24"),
        ({"shape": [1 << 60]}, "more than 1099511627776 bytes"),
        ({"blobs": [[DIGEST, 64 * 1024 * 1024 + 1]]}, "the limit is 67108864"),
        ({"blobs": [[DIGEST, 0]]}, r"not \[digest, bytes\]"),
        ({"blobs": [[DIGEST.upper(), 24]]}, "not a digest"),
        ({"blobs": [[DIGEST, 12], [DIGEST, 12]], "shape": [3, 2]}, None),
        ({"blobs": [[DIGEST, 8], [DIGEST, 16]]}, "listed with two sizes"),
    ],
)
def test_a_broken_limit_is_named(changes: dict[str, Any], limit: str | None) -> None:
    if limit is None:
        manifests.parse(altered(**changes))
        return
    with pytest.raises(ManifestError, match=limit):
        manifests.parse(altered(**changes))


def test_two_tensors_of_one_name_are_refused() -> None:
    entry = a_manifest().tensors[0]
    with pytest.raises(ManifestError, match="same name"):
        manifests.parse(Manifest((entry, entry)).to_bytes())


def test_other_spellings_of_the_same_manifest_are_refused() -> None:
    with pytest.raises(ManifestError, match="canonically"):
        manifests.parse(a_manifest().to_bytes().replace(b",", b", "))


def test_a_manifest_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(ManifestError, match="the limit is 4194304"):
        manifests.parse(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(ManifestError, match="the limit is 4194304"):
        Manifest((), {"x": "y" * 5_000_000}).to_bytes()


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(ManifestError, match="nested too deeply"):
        manifests.parse(b"[" * 100_000)


@pytest.mark.parametrize("ref", ["a", "assignment/3", "checkpoints/island-1/200", "x" * 256])
def test_refs(ref: str) -> None:
    assert manifests.check_ref(ref) == ref
