"""A corpus that ships with Python: four kinds of text that one can tell apart.

Modules of the standard library, Python's own help texts, the tables of the character encodings,
and the names of Unicode's characters. The same Python version gives the same corpus, except where
a distribution has patched a module; islands whose corpora differ are told so by the digest.
"""

import platform
import sysconfig
import unicodedata
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from atoll_worker.errors import BadDataError

KIND_BYTES: Final = 360_000
"""At most so much of each kind, whole documents alone."""
_NOT_EVERYWHERE: Final = ("_sysconfigdata", "site", "sitecustomize", "sysconfig", "platform")
"""Modules that a machine or a distribution writes anew; by the beginnings of their names."""
_NAMES_A_DOCUMENT: Final = 500


def stdlib_documents() -> tuple[list[bytes], str]:
    """The documents, and what to call them in a manifest.

    Raises:
        BadDataError: this Python came without the sources of its library.
    """
    library = Path(sysconfig.get_path("stdlib"))
    documents = [
        *_within(KIND_BYTES, _files(library, "*.py")),
        *_within(KIND_BYTES, _help_texts()),
        *_within(KIND_BYTES, _files(library / "encodings", "*_*.py")),
        *_within(KIND_BYTES, _character_names()),
    ]
    if sum(map(len, documents)) < 3 * KIND_BYTES:
        raise BadDataError(
            "data.source: builtin://python-stdlib needs the sources of Python's library, and "
            f"{library} has too few: install them, or use file://"
        )
    version = platform.python_version()
    return documents, f"{len(documents)} documents of Python {version}'s standard library"


def _files(folder: Path, pattern: str) -> Iterator[bytes]:
    for path in sorted(folder.glob(pattern)):
        if not path.name.startswith(_NOT_EVERYWHERE):
            content = path.read_bytes()
            try:
                content.decode()
            except UnicodeDecodeError:  # in another encoding, as its first line says
                continue
            yield content


def _help_texts() -> Iterator[bytes]:
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    for name in sorted(topics):
        yield topics[name].encode()


def _character_names() -> Iterator[bytes]:
    names = (unicodedata.name(chr(code), "") for code in range(0x11000))
    batch: list[str] = []
    for name in filter(None, names):
        batch.append(name)
        if len(batch) == _NAMES_A_DOCUMENT:
            yield ("\n".join(batch) + "\n").encode()
            batch = []


def _within(limit_bytes: int, documents: Iterator[bytes]) -> Iterator[bytes]:
    """Documents as long as they fit; one that does not is passed over."""
    left = limit_bytes
    for document in documents:
        if 0 < len(document) <= left:
            left -= len(document)
            yield document
