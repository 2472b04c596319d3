"""The header: read as the reference implementation writes it, refused when damaged."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from atoll_worker.errors import BadDataError
from atoll_worker.model_files.header import LENGTH_BYTES, Form, header_bytes, make, parse, shards

forms = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.builds(
        Form,
        st.sampled_from(["F64", "F32", "F16", "BF16", "I64", "I8", "BOOL"]),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(forms=forms)
def test_what_is_made_is_read_by_the_reference_and_by_us(forms: dict[str, Form]) -> None:
    text, entries = make(forms, {"format": "pt"})
    data_bytes = sum(form.size_bytes for form in forms.values())
    assert len(text) % 8 == 0
    found = load(text + bytes(data_bytes))
    assert {name: tuple(it.shape) for name, it in found.items()} == {
        name: form.shape for name, form in forms.items()
    }
    assert parse(text[LENGTH_BYTES:], data_bytes) == entries
    assert make(dict(reversed(forms.items())), {"format": "pt"})[0] == text


def test_what_the_reference_writes_is_read() -> None:
    text = save({"b": torch.ones(2, 3), "a": torch.ones(5, dtype=torch.bfloat16)}, {"x": "y"})
    size = header_bytes(text[:LENGTH_BYTES], len(text))
    entries = parse(text[LENGTH_BYTES : LENGTH_BYTES + size], len(text) - LENGTH_BYTES - size)
    assert {name: (it.form.dtype, it.form.shape, it.begin) for name, it in entries.items()} == {
        "b": ("F32", (2, 3), 0),
        "a": ("BF16", (5,), 24),
    }


def tensor(dtype: Any = "F32", shape: Any = (2,), begin: Any = 0, end: Any = 8) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], "not a JSON object"),
        ({"w": 3}, "does not say what tensor 'w' is"),
        ({"w": tensor("F4")}, "'w' has the type F4, known here are F64"),
        ({"w": tensor(shape=[-1])}, r"'w' has the shape \[-1\]"),
        ({"w": tensor(shape=[True])}, "has the shape"),
        ({"w": tensor(end=9)}, "'w' needs 8 bytes, the header gives it 0 to 9"),
        ({"w": tensor(begin=-8, end=0)}, "needs 8 bytes"),
        ({"v": tensor(), "w": tensor(begin=4, end=12)}, "'w' does not begin where"),
        ({"w": tensor(begin=4, end=12)}, "'w' does not begin where"),
        ({"w": tensor(shape=[3], end=12)}, "cut off: its tensors have 12 bytes"),
        ({"w": tensor(shape=[1], end=4)}, "damaged: its tensors have 4 bytes"),
    ],
)
def test_a_damaged_header_is_refused(document: object, expected: str) -> None:
    with pytest.raises(BadDataError, match=expected):
        parse(json.dumps(document).encode(), 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"w": 1, "w": 2}', "a name stands twice"),
    ],
)
def test_what_is_no_json_is_refused(text: bytes, expected: str) -> None:
    with pytest.raises(BadDataError, match=expected):
        parse(text, 0)


@pytest.mark.parametrize("first", [b"", b"\x80\x02", b"PK\x03\x04\x14\0\x08\x08", bytes(8)])
def test_what_begins_as_no_safetensors_file_is_refused(first: bytes) -> None:
    with pytest.raises(BadDataError, match="not a safetensors file"):
        header_bytes(first, 1000)


def test_a_header_longer_than_its_file_is_refused() -> None:
    with pytest.raises(BadDataError, match="cut off"):
        header_bytes((500).to_bytes(8, "little"), 100)


def test_shards_are_filled_in_order_and_a_large_tensor_has_its_own() -> None:
    sizes = {"a": 30, "b": 60, "c": 20, "d": 500, "e": 1}
    found = shards({name: Form("U8", (size,)) for name, size in sizes.items()}, 100)
    assert [list(shard) for shard in found] == [["a", "b"], ["c"], ["d"], ["e"]]
