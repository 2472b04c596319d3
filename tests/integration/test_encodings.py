"""A job whose weights travel as Int8, end to end with real processes."""

from pathlib import Path

import pytest
from atoll_runs import atoll, digests, write_job

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every bound artifact of a run."""
    rows = [line.split() for line in atoll("pull", folder).stdout.splitlines()]
    return {ref: int(size) for ref, size, _ in rows}


def test_int8_quarters_the_experts_and_repeats_itself(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("Raw", "Int8", "again")}
    for name, folder in folders.items():
        folder.mkdir()
        encoding = "Raw" if name == "Raw" else "Int8"
        job = write_job(folder, **{"exchange.encoding": encoding})
        result = atoll("run", job, "--out", folder / "out")
        assert result.returncode == ExitCode.OK, result.stderr + result.stdout
    assert digests(folders["Int8"] / "out") == digests(folders["again"] / "out")
    raw, rounded = (sizes(folders[name] / "out") for name in ("Raw", "Int8"))
    for ref in ("experts/0", "experts/1", "router"):
        assert 0.25 < rounded[ref] / raw[ref] < 0.30
    assert rounded["assignment"] == raw["assignment"]
