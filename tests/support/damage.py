"""Ways to damage what somebody keeps: bytes, documents and folders; each a function of a Random."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

Files = Mapping[str, bytes]
"""What is in a folder, by the path in it."""

WORDS: Final = (
    "", "a", "..", "/", "\x00", "é", "\u0661", "\ud800", "😀", "a\nb", "{island}", "null", "1e3",
    "blake3:" + "0" * 64, "init", "experts/0", "x" * 70_000, "%s%n", "-1", "127.0.0.1:1", "[::1]",
    "file:///nowhere", "builtin://digits", "s3://bucket/prefix", "2026-01-01T00:00:00Z", "Complete",
)  # fmt: skip
NUMBERS: Final = (
    0, 1, -1, 2, 255, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"), True, False,
)  # fmt: skip
_DEEP: Final = 5000


def damaged(random: Random, content: bytes) -> bytes:
    """The bytes after one to three accidents."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = random.choice(_ACCIDENTS)(random, content)
    return content


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _flip(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8)) if content else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, content: bytes) -> bytes:
    begin, end = _span(random, content)
    fill = random.choice(
        (bytes(end - begin), b"\xff" * (end - begin), random.randbytes(end - begin))
    )
    return content[:begin] + fill + content[end:]


def _take_out(random: Random, content: bytes) -> bytes:
    begin, end = _span(random, content)
    return content[:begin] + content[end:]


def _grow(random: Random, content: bytes) -> bytes:
    at = random.choice((len(content), random.randrange(len(content) + 1)))
    size = random.choice((1, 7, 64, 4096, 1 << 17))
    return content[:at] + random.choice((bytes(size), random.randbytes(size))) + content[at:]


def _repeat(random: Random, content: bytes) -> bytes:
    begin, end = _span(random, content)
    return content[:end] + content[begin:]


def _swap(random: Random, content: bytes) -> bytes:
    a, b, c = sorted(random.randrange(len(content) + 1) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def _number(random: Random, content: bytes) -> bytes:
    """A number of four or eight bytes that is larger or smaller than any that is meant."""
    at = random.randrange(min(64, len(content)) + 1)
    size = random.choice((4, 8))
    value = random.choice((0, 1, 1 << 20, (1 << 31) - 1, (1 << 8 * size) - 1, 1 << 8 * size - 1))
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


_ACCIDENTS: Final[Sequence[Callable[[Random, bytes], bytes]]] = (
    _cut, _flip, _flip, _flip, _overwrite, _take_out, _grow, _repeat, _swap, _number,
)  # fmt: skip


def _span(random: Random, content: bytes) -> tuple[int, int]:
    begin = random.randrange(len(content) + 1)
    longest = random.choice((1, 4, 64, len(content)))
    return begin, min(len(content), begin + random.randint(0, longest))


def nonsense(random: Random, depth: int = 3) -> Any:
    """Anything that JSON can say, and a little more."""
    if random.random() < 0.01:
        return deep(random.choice((20, 200, 5000)))
    kind = random.randrange(8 if depth else 6)
    if kind < 2:
        return random.choice(NUMBERS)
    if kind < 5:
        return random.choice(WORDS)
    if kind == 5:
        return random.choice((None, [], {}))
    if kind == 6:
        return [nonsense(random, depth - 1) for _ in range(random.randint(0, 3))]
    return {random.choice(WORDS): nonsense(random, depth - 1) for _ in range(random.randint(0, 3))}


def deep(levels: int) -> Any:
    """A list or mapping in another, so many times."""
    found: Any = "bottom"
    for level in range(levels):
        found = [found] if level % 2 else {"a": found}
    return found


def copied(document: Any) -> Any:
    """As `copy.deepcopy`, of what may be deeper than Python's stack."""
    found: list[Any] = [document]
    rest: list[tuple[Any, Any]] = [(found, 0)]
    while rest:
        parent, key = rest.pop()
        node = parent[key]
        if isinstance(node, dict):
            parent[key] = dict(node)
            rest.extend((parent[key], it) for it in node)
        elif isinstance(node, list):
            parent[key] = list(node)
            rest.extend((parent[key], it) for it in range(len(node)))
    return found[0]


def altered(random: Random, document: Any, pool: Sequence[Any] = ()) -> Any:
    """A copy of a document with one to three nodes changed.

    Args:
        random: all chance.
        document: what JSON can say.
        pool: values that mean something elsewhere.
    """
    changed = copied(document)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        changed = _alter(random, changed, pool)
    return changed


def _alter(random: Random, document: Any, pool: Sequence[Any]) -> Any:
    places = list(_places(document))
    if not places:
        return nonsense(random)
    parent, key = random.choice(places)
    action = random.randrange(10)
    if action < 4:
        parent[key] = copied(random.choice(pool)) if pool and action else nonsense(random)
    elif action == 4:
        del parent[key]
    elif action == 5:
        other, name = random.choice(places)
        parent[key], other[name] = copied(other[name]), copied(parent[key])
    elif action == 6:
        _add(random, parent, parent[key])
    elif action == 7:
        parent[key] = [parent[key]] if random.random() < 0.5 else {"a": parent[key]}
    else:
        parent[key] = _near(random, parent[key])
    return document


def _near(random: Random, value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float():
            return random.choice((value + 1, value - 1, -value, value * 1000, *NUMBERS))
        case str():
            at = random.randrange(len(value) + 1)
            return value[:at] + random.choice(WORDS) + value[at + random.randint(0, 1) :]
        case list() if value:
            return random.choice((value[1:], value * 2, value[::-1], [*value, nonsense(random)]))
        case dict() if value:
            return dict(random.sample(sorted(value.items()), random.randint(0, len(value))))
        case _:
            return nonsense(random)


def _add(random: Random, parent: Any, value: Any) -> None:
    if isinstance(parent, dict):
        parent[random.choice((*WORDS, *parent))] = copied(value)
    else:
        parent.insert(random.randrange(len(parent) + 1), copied(value))


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    rest = [document]  # by a list: a document may be deeper than Python's stack
    while rest:
        node = rest.pop()
        if isinstance(node, dict | list):
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                yield node, key
                rest.append(value)


def altered_json(random: Random, content: bytes) -> bytes:
    """A JSON file, damaged as bytes or as a document; now and then by what no reader expects."""
    way = random.randrange(10)
    if way < 4:
        return damaged(random, content)
    if way == 4:
        deep = random.choice((b"[", b'{"a":')) * _DEEP * random.choice((1, 50))
        return random.choice(
            (deep, b"\xff\xfe" + content, b"\xef\xbb\xbf" + content, b"null", b"[]")
        )
    document = altered(random, json.loads(content))
    try:
        return json.dumps(document, ensure_ascii=random.random() < 0.8).encode()
    except (ValueError, RecursionError):  # half a pair, too many digits, too deep
        return b"[" * _DEEP


def damaged_folder(random: Random, files: Files) -> dict[str, bytes | None]:
    """What is in a folder after one to three accidents; None: a folder where a file was."""
    found: dict[str, bytes | None] = dict(files)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        name = random.choice(sorted(found))
        content = found[name]
        way = random.randrange(12)
        if way == 0:
            del found[name]
        elif way == 1:
            found[name] = None
        elif way == 2:
            other = random.choice(sorted(found))
            found[name], found[other] = found[other], content
        elif way == 3:
            found[f"{name}.{random.choice(('draft', 'part', 'json', 'pack'))}"] = content
        elif content is not None:
            is_json = (
                name.endswith(".json")
                and content[:1] in (b"{", b"[")
                and content == files.get(name)
            )
            found[name] = altered_json(random, content) if is_json else damaged(random, content)
        if not found:
            break
    return found


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    paths = sorted(it for it in folder.rglob("*") if it.is_file())
    return {str(it.relative_to(folder)): it.read_bytes() for it in paths}


def write_folder(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Make a folder with these files."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
