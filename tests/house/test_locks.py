"""Locks are whole, and those of the images say what the lock that is tested says."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tools.supply_chain.locks import lock_paths, read

ROOT = Path(__file__).resolve().parents[2]
OF_IMAGES = (
    "requirements-operator.lock",
    "requirements-worker.lock",
    "requirements-worker-cpu.lock",
)


def entries(name: str) -> dict[str, frozenset[str]]:
    """`package==version ; marker` -> hashes."""
    pins = read(ROOT / name)
    return {
        f"{it.name}=={it.version}" + (f" ; {it.marker}" if it.marker else ""): frozenset(it.hashes)
        for it in pins
    }


def packages(name: str) -> set[str]:
    return {entry.partition("==")[0] for entry in entries(name)}


def test_every_lock_is_looked_at() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {str(it.relative_to(ROOT)) for it in lock_paths(ROOT)} == set(listed.stdout.split())


@pytest.mark.parametrize("lock", lock_paths(ROOT), ids=lambda path: path.name)
def test_a_lock_pins_with_hashes_and_names_no_address(lock: Path) -> None:
    assert read(lock)


@pytest.mark.parametrize("lock", OF_IMAGES)
def test_an_image_has_what_is_tested(lock: str) -> None:
    whole = {
        entry.partition(" ;")[0]: hashes for entry, hashes in entries("requirements.lock").items()
    }
    for entry, hashes in entries(lock).items():
        version = entry.partition(" ;")[0]
        assert whole.get(version) == hashes, f"{lock}: {version}: run `make lock`"


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements-operator.lock", ["operator"]),
        ("requirements-worker.lock", ["worker", "objects"]),
    ],
)
def test_an_image_has_what_its_side_asks_for(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [line for extra in extras for line in project["optional-dependencies"][extra]]
    asked = {re.split(r"[><=\[ ]", line)[0] for line in [*project["dependencies"], *optional]}
    assert asked <= packages(lock), f"{lock} is old: run `make lock`"


def test_the_operator_has_no_tensors() -> None:
    assert not packages("requirements-operator.lock") & {"torch", "numpy", "scipy"}


def test_the_small_worker_lacks_what_only_gpus_need() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (said,) = re.findall(r"^GPU_ONLY := (.*)$", makefile, re.MULTILINE)
    full, small = packages("requirements-worker.lock"), packages("requirements-worker-cpu.lock")
    assert full - small == set(said.split())
    assert not small - full
