"""Manifests from anybody: what is read, what is refused, and that the limit is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange.content import Blob, digest_of
from atoll_worker.exchange.manifest import Manifest, ManifestError, TensorEntry

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
        if key in TensorEntry._fields:
            document["tensors"][0][TensorEntry._fields.index(key)] = value
        else:
            document[key] = value
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
        ({"schema": True}, "schema True, not 1"),
        ({"schema": 1.0}, "schema 1.0, not 1"),
        ({"schema": "x" * 99_999}, "schema 'x{39}, not 1"),
        ({"surprise": 1}, "other keys"),
        ({"metadata": []}, "no object"),
        ({"parents": ["x"]}, "not a digest"),
        ({"parents": [DIGEST] * 4097}, "4097 parents, the limit is 4096"),
        ({"tensors": {}}, "no list"),
        ({"tensors": [{}] * 20_001}, "20001 tensors, the limit is 20000"),
        ({"name": ""}, "no name"),
        ({"name": "n" * 513}, "longer than 512 bytes"),
        ({"dtype": "complex64"}, "unknown type 'complex64'"),
        ({"dtype": ["float32"]}, "unknown type"),
        ({"encoding": "Pickle!"}, "encoding 'Pickle!', which is no name"),
        ({"encoding": "x" * 33}, "1 to 32 of"),
        ({"encoding": ["raw"]}, "which is no name"),
        ({"encoding": "int8"}, "needs 14 bytes by its shape and encoding int8, its blobs have 24"),
        ({"encoding": "float16"}, "needs 12 bytes"),
        ({"encoding": "bfloat16", "dtype": "int32"}, "int32 travels raw, not as bfloat16"),
        ({"encoding": "int8", "dtype": "bfloat16"}, "bfloat16 travels raw, not as int8"),
        ({"shape": [1] * 9}, "rank 9, the limit is 8"),
        ({"shape": [-6]}, "no list of sizes"),
        ({"shape": [True, 6]}, "no list of sizes"),
        ({"shape": [2, 4]}, "needs 32 bytes by its shape and encoding raw, its blobs have 24"),
        ({"shape": [1 << 60]}, "more than 1099511627776 bytes"),
        ({"shape": [1 << 40] * 8}, "more than 1099511627776 bytes"),
        ({"shape": [1 << 39], "encoding": "later"}, "bytes in memory, the limit is 1099511627776"),
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


@pytest.mark.parametrize(
    ("encoding", "shape", "size_bytes"),
    [
        ("bfloat16", [2, 3], 12),
        ("float16", [2, 3], 12),
        ("int8", [2, 3], 2 * 4 + 6),
        ("int8", [6], 4 + 6),
        ("int8", [], 4 + 1),
        ("int8", [2, 3, 5], 2 * 4 + 30),
        ("of-a-later-version", [2, 3], 7),
    ],
)
def test_every_encoding_is_read_with_its_size(
    encoding: str, shape: list[int], size_bytes: int
) -> None:
    blobs = [[DIGEST, size_bytes]]
    read = manifests.parse(altered(encoding=encoding, shape=shape, blobs=blobs))
    assert read.tensors[0].encoding == encoding
    assert read.size_bytes == size_bytes


@given(st.data())
def test_a_mutated_document_is_read_or_refused_in_one_sentence(data: st.DataObject) -> None:
    """Any value anywhere: no other error than ManifestError, and no message without end."""
    document = json.loads(a_manifest().to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(document, data)
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert_read_or_refused(content)


@given(st.data())
def test_mutated_bytes_are_read_or_refused_in_one_sentence(data: st.DataObject) -> None:
    content = bytearray(a_manifest().to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    assert_read_or_refused(bytes(content))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_other_character_sets_are_refused(encoding: str) -> None:
    with pytest.raises(ManifestError):
        manifests.parse(a_manifest().to_bytes().decode().encode(encoding))


@pytest.mark.parametrize("depth", [10, 400, 900, 990, 1100, 5000, 50_000])
def test_metadata_of_any_depth_are_read_or_refused(depth: int) -> None:
    nested = '{"a":' + "[" * depth + "]" * depth + "}"
    assert_read_or_refused(a_manifest().to_bytes().replace(b'{"step":1}', nested.encode()))


@pytest.mark.parametrize("number", ["9" * 5000, "1e999", "-1e999", "NaN", "Infinity", "1e-999"])
def test_numbers_without_measure_are_refused(number: str) -> None:
    with pytest.raises(ManifestError):
        manifests.parse(a_manifest().to_bytes().replace(b'"step":1', f'"step":{number}'.encode()))


def mutate(document: dict[str, Any], data: st.DataObject) -> None:
    node: Any = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and data.draw(st.booleans()):
            node = node[key]
            continue
        node[key] = data.draw(JSON)
        return


def assert_read_or_refused(content: bytes) -> None:
    try:
        read = manifests.parse(content)
    except ManifestError as error:
        message = str(error)
        assert message
        assert len(message) < 1000
        assert "\n" not in message
    else:
        assert read.to_bytes() == content


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


def test_metadata_that_hold_themselves_are_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(ManifestError, match="cannot be written as JSON"):
        Manifest((), circle).to_bytes()


@given(st.integers(0, 2), st.integers(1, 4), JSON)
def test_one_odd_row_among_many_is_found(at: int, column: int, value: Any) -> None:
    """Rows that are alike are looked at once: True is not 1, and 2.0 is not 2."""
    entry = a_manifest().tensors[0]
    rows = [list(entry._replace(name=name)) for name in ("a", "b", "é")]
    rows[at][column] = value
    document = {**json.loads(a_manifest().to_bytes()), "tensors": rows}
    alone = {**document, "tensors": [rows[at]]}
    accepted = []
    for it in (document, alone):
        try:
            manifests.parse(json.dumps(it, sort_keys=True, separators=(",", ":")).encode())
        except ManifestError:
            accepted.append(False)
        else:
            accepted.append(True)
    assert accepted[0] == accepted[1]


@pytest.mark.parametrize(("shape", "size"), [([True, 6], 24), ([2.0, 3], 24), ([6], 24.0)])
def test_a_row_that_only_python_takes_for_another_is_refused(shape: list[Any], size: Any) -> None:
    entry = a_manifest().tensors[0]._replace(shape=(1, 6) if shape[0] is True else (2, 3))
    rows = [list(entry._replace(name=name)) for name in ("a", "b", "é")]
    rows[1][2], rows[1][4] = shape, [[DIGEST, size]]
    with pytest.raises(ManifestError, match="tensor 'b'"):
        manifests.parse(altered(tensors=rows))
