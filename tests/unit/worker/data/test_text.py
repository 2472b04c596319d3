"""Text sources: what becomes a sample, and what is refused in one line."""

import json
from pathlib import Path

import pytest
import torch

from atoll_api.spec.data import Data
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.load import load
from atoll_worker.data.text import Corpus, samples_of
from atoll_worker.errors import BadDataError
from atoll_worker.tasks.language.tokenizer import bytes_of

CONTEXT = 16


def loaded(path: Path, context: int = CONTEXT) -> Dataset:
    return load(Data(source=f"file://{path}"), context)


def texts(dataset: Dataset) -> list[bytes]:
    return [bytes_of(row) for row in dataset.x_ND]


def pieces(*documents: bytes) -> list[bytes]:
    samples = samples_of(Corpus("here", documents, "made up"), 4)
    return [bytes_of(row) for row in samples.x_ND]


def test_a_document_is_cut_and_its_rest_joins_the_other_rests() -> None:
    assert pieces(b"abcdefghij", b"0123456") == [b"abcd", b"efgh", b"0123", b"ij\n4"]


def test_short_documents_are_not_lost() -> None:
    assert pieces(b"ab", b"cd", b"ef") == [b"ab\nc", b"d\nef"]


def test_a_piece_that_repeats_another_is_dropped_and_counted() -> None:
    samples = samples_of(Corpus("here", [b"abcdabcdefgh"], "made up"), 4)
    assert [bytes_of(row) for row in samples.x_ND] == [b"abcd", b"efgh"]
    assert samples.normalisation == "made up in pieces of 4 UTF-8 bytes, 1 repeated ones dropped"


def test_a_text_file_becomes_tokens(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("na\u00efve \u4e2d\u6587 " * 20, encoding="utf-8")
    dataset = loaded(path)
    assert dataset.x_ND.dtype == torch.uint8
    assert dataset.sample.shape == (CONTEXT,)
    assert dataset.num_classes == 0
    assert texts(dataset)[0] == path.read_bytes()[:CONTEXT]


def test_a_folder_is_read_recursively_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z.txt").write_text("z" * CONTEXT)
    (tmp_path / "a.TXT").write_text("a" * CONTEXT)
    (tmp_path / "c.md").write_text("not read")
    (tmp_path / ".hidden.txt").write_text("nor this")
    dataset = loaded(tmp_path)
    assert texts(dataset) == [b"a" * CONTEXT, b"z" * CONTEXT]
    assert dataset.normalisation.startswith("2 .txt files in pieces of 16 UTF-8 bytes")


def test_json_lines_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [{"text": "one " * 8, "more": 1}, {"text": "\u00e9" * CONTEXT}]
    path.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    assert texts(loaded(path))[-1] == ("\u00e9" * 8).encode()


def test_the_library_that_comes_with_python_is_the_same_each_time() -> None:
    data = Data(source="builtin://python-stdlib")
    first, second = load(data, 256), load(data, 256)
    assert first.digest == second.digest
    assert 4000 < len(first.x_ND) < 8000
    assert "of Python 3." in first.normalisation
    train, holdout = (
        {bytes_of(first.x_ND[i]) for i in part} for part in (first.train, first.holdout)
    )
    assert not train & holdout


LONG = b'{"text": "long enough for two of them, this one"}'
NOT_TEXT = 'no field "text" that is a string'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"short", r"has 5 bytes of text, less than one context of 16: give more text"),
        ("a.txt", b"x" * 20, r"the data have 1 sample: at least 2"),
        ("a.txt", b"", r"a\.txt is empty"),
        ("a.txt", b" \n\n", r"a\.txt is empty"),
        ("a.txt", b"x" * 40 + b"\xff!", r"a\.txt is not UTF-8: byte 0xff at offset 40"),
        ("a.txt", b"x" * 40 + b"\xe4\xb8", r"a\.txt is not UTF-8: byte 0xe4 at offset 40"),
        ("a.jsonl", LONG + b"\n{", r"a\.jsonl, line 2: no JSON \("),
        ("a.jsonl", LONG + b'\n\n{"t": 1}', rf"a\.jsonl, line 3: {NOT_TEXT}"),
        ("a.jsonl", b'{"text": 7}', rf"line 1: {NOT_TEXT}"),
        ("a.jsonl", b'["text"]', rf"line 1: {NOT_TEXT}"),
        ("a.jsonl", b"[" * 100_000, "line 1: no JSON"),
        ("a.jsonl", b'{"text": "\\ud800"}', "line 1: `text` has half of a surrogate pair"),
        ("a.jsonl", LONG + b'\n{"text": "\xff"}', r"not UTF-8: byte 0xff at offset 60"),
        ("a.csv", b"x" * 40, r"a\.csv is no text: give a \.txt or \.jsonl file"),
    ],
)  # fmt: skip
def test_bad_text_is_one_clear_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadDataError, match=said) as caught:
        loaded(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_names_the_file_that_is_bad(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 40)
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    with pytest.raises(BadDataError, match=r"b\.txt is not UTF-8: byte 0xe9 at offset 3"):
        loaded(tmp_path)


def test_a_folder_without_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    with pytest.raises(BadDataError, match=r"has no \.txt files in it"):
        loaded(tmp_path)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"none\.txt does not exist"):
        loaded(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("source", "context", "said"),
    [
        ("builtin://digits", 16, "no builtin data 'digits' that are text"),
        ("builtin://python-stdlib", None, "no builtin data 'python-stdlib' that are numbers"),
    ],
)
def test_builtin_data_of_the_other_kind(source: str, context: int | None, said: str) -> None:
    with pytest.raises(BadDataError, match=said):
        load(Data(source=source), context)


def test_text_has_no_image_size(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"data\.imageSize"):
        load(Data(source=f"file://{tmp_path}", image_size=8), CONTEXT)
