"""The page on security names tests and files that there are, and for each threat what is left open."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FILE = re.compile(r"`((?:api|operator|worker|cli|charts|tools|tests)/[\w/.-]+\.\w+)`")


def threats(page: str) -> dict[str, str]:
    """Title -> what is said of it."""
    section = page.partition("\n## Threats\n")[2].partition("\n## ")[0]
    return dict(part.split("\n", 1) for part in section.split("\n### ")[1:])


def complaints(page: str) -> list[str]:
    """What the page promises and does not keep."""
    found = [
        f"{path}::{name} is no test"
        for path, name in TEST.findall(page)
        if name not in functions(ROOT / path)
    ]
    found += [f"{path} is not there" for path in FILE.findall(page) if not (ROOT / path).exists()]
    for title, text in threats(page).items():
        if not TEST.search(text):
            found.append(f"{title}: no test is named")
        if "**Not protected:**" not in text:
            found.append(f"{title}: it does not say what is left open")
    return found


def functions(path: Path) -> set[str]:
    if not path.exists():
        return set()
    nodes = ast.walk(ast.parse(path.read_text()))
    return {it.name for it in nodes if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_keeps_what_it_promises() -> None:
    assert len(threats(PAGE)) >= 10
    assert complaints(PAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("::test_plaintext_gets_nowhere", "::test_gone", "test_identity.py::test_gone is no test"),
        ("`tests/cluster/test_strangers.py::", "`tests/cluster/test_x.py::", "is no test"),
        ("exchange/guard.py", "exchange/gone.py", "exchange/gone.py is not there"),
        ("**Not protected:** gRPC", "gRPC", "Malformed messages: it does not say"),
    ],
)
def test_a_planted_fault_is_caught(old: str, new: str, expected: str) -> None:
    assert old in PAGE
    assert expected in "\n".join(complaints(PAGE.replace(old, new)))


def test_a_threat_without_a_test_is_caught() -> None:
    planted = "\n## Threats\n\n### Ghosts\n\n**Not protected:** nobody is.\n\n## Next\n"
    assert complaints(planted) == ["Ghosts: no test is named"]
