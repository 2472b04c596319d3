"""Reads the locks as an installer that trusts nobody would: a version, hashes, and no address.

It resolves nothing and installs nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[a-z0-9,-]+\])?"
    r"==(?P<version>[A-Za-z0-9.!+_-]+)(?: ; (?P<marker>.+))?"
)


class LockError(Exception):
    """A lock that would let something in that nobody chose; every line that would."""


@dataclass(frozen=True)
class Pinned:
    """One distribution in one version."""

    name: str
    """As package indexes compare names."""
    version: str
    hashes: tuple[str, ...]
    """SHA-256 of each file of the release: one of them is what gets installed."""
    marker: str = ""
    """On which machines; empty: on all."""


def lock_paths(root: Path) -> tuple[Path, ...]:
    """All locks: of development and of CI, of the images, of the installer."""
    return (*sorted(root.glob("requirements*.lock")), root / "tools" / "bootstrap.lock")


def read(path: Path) -> tuple[Pinned, ...]:
    """What a lock pins, in its order.

    Raises:
        LockError: a line does not pin, has no hash or names an address; all such lines.
    """
    found: list[Pinned] = []
    problems: list[str] = []
    for number, line in _logical_lines(path.read_text()):
        pinned = _parse(line)
        if isinstance(pinned, Pinned):
            found.append(pinned)
        else:
            problems.append(f"{path.name}:{number}: {pinned}: {line[:80]}")
    if not found and not problems:
        problems.append(f"{path.name}: nothing is pinned")
    if problems:
        raise LockError("\n".join(problems))
    return tuple(found)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line with those that continue it, without comments, and where it begins."""
    begun, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).rstrip()
        begun = begun if parts else number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            if any(parts):
                yield begun, " ".join(filter(None, parts))
            parts = []
    if any(parts):
        yield begun, " ".join(filter(None, parts))


def _parse(line: str) -> Pinned | str:
    """What it pins, or what is wrong with it."""
    asked, *rest = re.split(r"\s(?=--)", line)
    hashes = [_HASH.fullmatch(it.strip()) for it in rest]
    pinned = _PINNED.fullmatch(asked.strip())
    if "://" in line or re.search(r"\s@\s", line):
        return "names an address"
    if line.startswith("-"):
        return "is an option"
    if pinned is None:
        return "pins no version"
    if not hashes:
        return "has no hash"
    if not all(hashes):
        return "has a hash that is none of SHA-256, or another option"
    return Pinned(
        canonicalize_name(pinned["name"]),
        pinned["version"],
        tuple(sorted(it[1] for it in hashes if it)),
        pinned["marker"] or "",
    )
