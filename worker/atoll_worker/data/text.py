"""Text files, JSON lines and the corpus that comes with Python, cut into samples of one length.

A document is cut into pieces of `context` bytes. What is left at its end is joined with what is
left of the other documents, a newline after each, and cut likewise; less than one piece of the
whole corpus is lost. A piece that repeats an earlier one exactly is dropped, so that none stands
both in the training part and in the holdout. Pieces of one document may stand on both sides.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atoll_worker.data.dataset import Samples
from atoll_worker.data.stdlib_text import stdlib_documents
from atoll_worker.errors import BadDataError

STDLIB = "python-stdlib"
TEXT_SUFFIXES = (".txt", ".jsonl")


@dataclass(frozen=True)
class Corpus:
    """Documents, in an order that depends on nothing but the source."""

    source: str
    documents: Sequence[bytes]
    """UTF-8."""
    origin: str
    """What was read, for the manifest."""


def read_text(source: str) -> Corpus:
    """Read the documents of `builtin://python-stdlib` or of `file://PATH`.

    Raises:
        BadDataError: the source is missing, empty, no UTF-8, or of another kind.
    """
    scheme, _, rest = source.partition("://")
    if scheme == "builtin":
        if rest != STDLIB:
            raise BadDataError(
                f"data.source: no builtin data {rest!r} that are text: use builtin://{STDLIB}"
            )
        documents, origin = stdlib_documents()
        return Corpus(source, documents, origin)
    path = Path(rest)
    if not path.exists():
        raise BadDataError(f"data.source: {path} does not exist: check the path")
    if path.is_dir():
        found = [_text_file(it) for it in _text_files(path)]
        return Corpus(source, found, f"{len(found)} .txt files")
    if path.suffix.lower() not in TEXT_SUFFIXES:
        raise BadDataError(
            f"data.source: {path} is no text: give a .txt or .jsonl file, or a folder of .txt files"
        )
    if path.suffix.lower() == ".jsonl":
        lines = list(_json_lines(path))
        return Corpus(source, lines, f"{len(lines)} JSON lines")
    return Corpus(source, [_text_file(path)], "1 .txt file")


def samples_of(corpus: Corpus, context: int) -> Samples:
    """Cut a corpus into samples of `context` bytes, uint8 of shape (N, context).

    Raises:
        BadDataError: the corpus is shorter than one context.
    """
    total = sum(map(len, corpus.documents))
    if total < context:
        raise BadDataError(
            f"data.source: {corpus.source} has {total} bytes of text, less than one context of "
            f"{context}: give more text, or lower task.language.architecture.gpt.context"
        )
    pieces = list(_pieces(corpus.documents, context))
    kept = list(dict.fromkeys(pieces))
    values = np.frombuffer(b"".join(kept), dtype=np.uint8).reshape(-1, context)
    dropped = len(pieces) - len(kept)
    how = f"{corpus.origin} in pieces of {context} UTF-8 bytes, {dropped} repeated ones dropped"
    return Samples(torch.from_numpy(values.copy()), None, (), how)


def _pieces(documents: Sequence[bytes], context: int) -> Iterator[bytes]:
    rests = []
    for document in documents:
        whole = len(document) // context * context
        yield from (document[at : at + context] for at in range(0, whole, context))
        if len(document) > whole:
            rests.append(document[whole:] + b"\n")
    joined = b"".join(rests)
    yield from (joined[at : at + context] for at in range(0, len(joined) - context + 1, context))


def _text_files(folder: Path) -> list[Path]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ".txt"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not paths:
        raise BadDataError(f"data.source: {folder} has no .txt files in it: check the path")
    return paths


def _text_file(path: Path) -> bytes:
    content = _content(path)
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf_8(path, error.start, content) from None
    return content


def _json_lines(path: Path) -> Iterator[bytes]:
    begin = 0
    content = _content(path)
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield _json_text(path, number, line, begin)
        begin += len(line) + 1


def _json_text(path: Path, number: int, line: bytes, begin: int) -> bytes:
    try:
        document = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise _not_utf_8(path, begin + error.start, line[: error.start + 1]) from None
    except (ValueError, RecursionError) as error:
        raise BadDataError(
            f"{path}, line {number}: no JSON ({_first_line(error)}): write one object a line"
        ) from None
    text = document.get("text") if isinstance(document, dict) else None
    if not isinstance(text, str):
        raise BadDataError(
            f'{path}, line {number}: no field "text" that is a string: write {{"text": "..."}}'
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadDataError(
            f"{path}, line {number}: `text` has half of a surrogate pair, which is no character: "
            "repair it"
        ) from None


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadDataError(f"{path} cannot be read: {error.strerror}") from error
    if not content.strip():
        raise BadDataError(f"{path} is empty: fill it or remove it")
    return content


def _not_utf_8(path: Path, offset: int, content: bytes) -> BadDataError:
    byte = content[min(offset, len(content) - 1)]
    return BadDataError(
        f"{path} is not UTF-8: byte 0x{byte:02x} at offset {offset}: convert it "
        "(iconv -t UTF-8), or remove it"
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
