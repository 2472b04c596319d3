"""Rules about the tree itself."""

import ast
import operator
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "telemetry", "operator", "worker", "cli")
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "common", "misc"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def sources() -> list[Path]:
    return [path for path in tracked("*.py") if "gen" not in path.parts]


def test_operator_is_the_standard_library_module() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (operator.__file__ or "").startswith(str(ROOT))


def test_tests_have_no_packages() -> None:
    assert not [path for path in tracked("tests") if path.name == "__init__.py"]


def test_every_package_folder_is_a_package() -> None:
    folders = {path.parent for path in sources() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    module = ast.parse(path.read_text())
    assert ast.get_docstring(module), "a module begins with a sentence about its purpose"


def test_every_decision_has_a_status_and_a_reason() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert decisions
    for path in decisions:
        text = path.read_text()
        assert text.startswith("# "), path.name
        assert "\n## Why" in text, path.name
