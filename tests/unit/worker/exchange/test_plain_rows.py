"""Rows read as text say what they say as JSON, whatever is done to them, or are refused alike."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atoll_worker.exchange import manifest as manifests
from atoll_worker.exchange import plain_rows
from atoll_worker.exchange.content import Blob, digest_of
from atoll_worker.exchange.manifest import Manifest, ManifestError, TensorEntry

ODD = TensorEntry("é", "uint8", (3,), "raw", (Blob(digest_of(b"odd"), 3),))
PLAIN = Manifest(
    (
        TensorEntry("a", "float32", (2, 3), "raw", (Blob(digest_of(b"a"), 24),)),
        TensorEntry("b", "float32", (2, 3), "raw", (Blob(digest_of(b"b"), 24),)),
        TensorEntry("c", "int64", (), "raw", (Blob(digest_of(b"c"), 8),)),
        TensorEntry("d", "float32", (1, 12), "int8", (Blob(digest_of(b"d"), 16),)),
    ),
    {"step": 1},
)
ROWS = PLAIN.to_bytes().decode().partition('"tensors":')[2].removesuffix("}")
EDITS = st.sampled_from(
    ["", "0", "1", "-", " ", ",", "]", "[", '"', "\\", "\x7f", "\n", "true", "null", "1.0", "1e1",
     "01", "b", "4", "x", "é", "\\u0061", "[2,3]", '"raw"', '"float32"', "9" * 16, '],"tensors":[']
)  # fmt: skip


def written(rows: str) -> bytes:
    return f'{{"metadata":{{"step":1}},"parents":[],"schema":1,"tensors":{rows}}}'.encode()


def read(content: bytes) -> Manifest | None:
    try:
        return manifests.parse(content)
    except ManifestError:
        return None


def read_as_json(rows: str) -> Manifest | None:
    """What the same rows say in a manifest with one more, which is not plain."""
    odd = json.dumps(ODD, separators=(",", ":"))
    found = read(written(rows[:-1] + "," + odd + "]"))
    return None if found is None else Manifest(found.tensors[:-1], found.metadata, found.parents)


def test_plain_rows_are_taken_out() -> None:
    rest, columns = plain_rows.take_out(PLAIN.to_bytes())
    assert rest == Manifest((), PLAIN.metadata).to_bytes()
    assert columns is not None
    assert tuple(map(TensorEntry, *columns)) == PLAIN.tensors
    assert manifests.parse(PLAIN.to_bytes()) == PLAIN


@pytest.mark.parametrize("manifest", [Manifest(()), Manifest((*PLAIN.tensors, ODD))])
def test_what_is_not_all_plain_stays_as_it_is(manifest: Manifest) -> None:
    assert plain_rows.take_out(manifest.to_bytes()) == (manifest.to_bytes(), None)
    assert manifests.parse(manifest.to_bytes()) == manifest


@given(st.integers(0, len(ROWS)), st.integers(0, 8), EDITS)
@example(ROWS.index("[2,3]") + 1, 1, "true")
@example(ROWS.rindex("[2,3]") + 1, 1, "02")
@example(ROWS.index("24"), 2, "24.0")
@example(ROWS.rindex("24"), 2, "25")
@example(1, 0, "  ")
@example(ROWS.index('"b"') + 1, 1, "a")
def test_rows_that_were_altered_mean_what_they_mean_as_json(at: int, count: int, edit: str) -> None:
    rows = ROWS[:at] + edit + ROWS[at + count :]
    found = read(written(rows))
    if rows.endswith("]]]") and rows.startswith("[["):
        assert found == read_as_json(rows)
    if found is not None:
        again = Manifest(found.tensors, found.metadata, found.parents)
        assert again.to_bytes() == written(rows)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS.replace('"b"', '"a"'), "two tensors have the same name"),
        (ROWS.replace("int64", "int65"), "tensor 'c' has the unknown type 'int65'"),
        (ROWS.replace('"int8"', f'"{"x" * 33}"'), "1 to 32 of"),
        (ROWS.replace("[1,12]", "[1,13]"), "tensor 'd' needs 17 bytes"),
        (ROWS.replace("[1,12]", "[1,1,1,1,1,1,1,1,12]"), "rank 9, the limit is 8"),
        (ROWS.replace(",16]", ",0]"), r"a blob of tensor 'd' is not \[digest, bytes\]"),
        (ROWS.replace(",16]", ",67108865]"), "the limit is 67108864"),
        (ROWS.replace(digest_of(b"c"), digest_of(b"a")), "listed with two sizes"),
        (ROWS.replace('"a"', f'"{"n" * 513}"'), "longer than 512 bytes"),
    ],
)
def test_a_limit_that_one_of_many_rows_breaks_is_named(rows: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        manifests.parse(written(rows))


def test_too_many_plain_rows_are_refused() -> None:
    row = json.dumps(PLAIN.tensors[2], separators=(",", ":"))
    with pytest.raises(ManifestError, match="20001 tensors, the limit is 20000"):
        manifests.parse(written("[" + ",".join([row] * 20_001) + "]"))


@pytest.mark.parametrize(
    "head",
    [
        '{"metadata":{},"parents":[],"schema":1,"tensors":[]',
        '{"metadata":{},"parents":[],"schema": 1',
        '{"metadata":{},"schema":1,"parents":[]',
        '{"metadata":{"a":{"b":1},"parents":[],"schema":1',
        '{"schema":1',
        "",
    ],
)
def test_what_is_left_has_to_be_canonical_too(head: str) -> None:
    with pytest.raises(ManifestError):
        manifests.parse(f'{head},"tensors":{ROWS}}}'.encode())
