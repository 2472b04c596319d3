"""Programs are built once, and what is in the cache is whole."""

import os
from pathlib import Path

import pytest

from tools.cluster.errors import ClusterError
from tools.cluster.programs import (
    MODULES,
    SIMULATOR,
    build,
    build_simulator,
    built_folder,
    impossible,
    source_digest,
    system,
)

ALL = {command for commands in MODULES.values() for command in commands}
GO = """#!/bin/sh
# Makes empty programs, as `go build -o FOLDER/ tool` makes real ones.
echo "$PWD" >> "$LOG"
while [ "$1" != -o ]; do shift; done
{work}
"""


def use_go(folder: Path, monkeypatch: pytest.MonkeyPatch, work: str) -> Path:
    """A compiler that is a few lines long; where it writes down its calls."""
    go = folder / "path" / "go"
    go.parent.mkdir(exist_ok=True)
    go.write_text(GO.replace("{work}", work))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(folder / "calls"))
    return folder / "calls"


def test_a_second_build_builds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = use_go(tmp_path, monkeypatch, f'for x in {" ".join(ALL)}; do touch "$2/$x"; done')
    folder = build(tmp_path / "cache")
    assert {path.name for path in folder.iterdir()} == ALL
    assert len(calls.read_text().splitlines()) == len(MODULES)
    assert build(tmp_path / "cache") == folder
    assert len(calls.read_text().splitlines()) == len(MODULES)


def test_the_simulator_is_built_beside_the_others_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_go(tmp_path, monkeypatch, f'for x in {" ".join(ALL)}; do touch "$2/$x"; done')
    folder = build(tmp_path / "cache")
    assert SIMULATOR not in ALL
    calls = use_go(tmp_path, monkeypatch, f'touch "$2/{SIMULATOR}"')
    assert build_simulator(tmp_path / "cache") == folder / SIMULATOR
    assert build_simulator(tmp_path / "cache").exists()
    assert len(calls.read_text().splitlines()) == len(MODULES) + 1
    assert [it.name for it in folder.parent.iterdir() if it.is_dir()] == [folder.name]


def test_what_nobody_needs_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_go(tmp_path, monkeypatch, f'for x in {" ".join(ALL)}; do touch "$2/$x"; done')
    folder = built_folder(tmp_path)
    for left in (".making-1", "v1.0.0-old", "v1.0.0-used"):
        (folder.parent / left).mkdir(parents=True)
    os.utime(folder.parent / "v1.0.0-old", (0, 0))
    build(tmp_path)
    kept = {path.name for path in folder.parent.iterdir() if path.is_dir()}
    assert kept == {folder.name, "v1.0.0-used"}


def test_a_user_without_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert impossible(tmp_path, 1000) == "it needs root"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert impossible(tmp_path, 0) == "Go is missing, and nothing is built yet"


@pytest.mark.parametrize(
    ("work", "reason"),
    [("echo no space >&2; exit 1", "no space"), ("true", "builds no kube-apiserver")],
)
def test_a_failed_build_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str, reason: str
) -> None:
    use_go(tmp_path, monkeypatch, work)
    with pytest.raises(ClusterError, match=reason):
        build(tmp_path)
    assert not built_folder(tmp_path).exists()


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="install Go"):
        build(tmp_path)


def test_other_sources_are_another_build(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module a")
    first = source_digest(tmp_path)
    (tmp_path / "go.mod").write_text("module b")
    assert source_digest(tmp_path) != first


def test_what_is_missing_is_left_out() -> None:
    assert set(system({"sh": "dash", "no-such-command": "none"})) == {"sh"}
