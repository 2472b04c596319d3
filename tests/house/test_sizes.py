"""Nothing grows too large to read in one sitting."""

from pathlib import Path

import pytest
from sizes import Source, complaints

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "telemetry", "operator", "worker", "cli", "tools")


def test_the_house_is_within_its_sizes() -> None:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(paths) > 20
    sources = [Source(str(path.relative_to(ROOT)), path.read_text()) for path in paths]
    assert complaints(sources) == []


def test_tests_are_within_the_limits_of_functions_and_files() -> None:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    sources = [Source(str(path.relative_to(ROOT)), path.read_text()) for path in paths]
    found = [line for line in complaints(sources) if "median" not in line]
    assert found == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n" + "    x = 1\n" * 80, "f: 81 lines"),
        ("x = 1\n" * 501, "501 lines, at most 500"),
        ("def f(a, b, c, *, d, e, g, h):\n    pass\n", "f: 7 parameters"),
        ("class A:\n" + "    async def f(self):\n" + "        x = 1\n" * 80, "f: 81 lines"),
        ("def f():\n" + "    x = 1\n" * 11, "functions: median 12 lines"),
        ("x = 1\n" * 151, "files: median 151 lines"),
    ],
)
def test_a_planted_fault_is_caught(text: str, expected: str) -> None:
    assert expected in "\n".join(complaints([Source("planted.py", text)]))
