"""A run on this machine, shown until it ends; nobody has to wait for one that does not go on."""

import fcntl
import io
import json
from pathlib import Path

import pytest
from builders import job_document
from rich.console import Console
from submitted_jobs import COMPLETE, FAILED, RUNNING

from atoll_api.exit_codes import ExitCode
from atoll_api.status import TrainingJobStatus
from atoll_cli.errors import CliError
from atoll_cli.targets import Run
from atoll_cli.watching import until_ended
from atoll_operator.local.folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "job.json").write_text(json.dumps(job_document()))
    return RunFolder.at(tmp_path)


def watched(run: RunFolder, screen: io.StringIO | None = None) -> tuple[int, str]:
    screen = screen or io.StringIO()
    code = until_ended(Console(file=screen, width=200), Run(run.path), plain=True)
    return code, screen.getvalue()


class Screen(io.StringIO):
    """Where a run is complete as soon as somebody has seen it running."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self._run = run

    def write(self, text: str) -> int:
        if "Running" in text:
            self._run.write_status(COMPLETE)
        return super().write(text)


def test_one_that_is_complete(run: RunFolder) -> None:
    run.write_status(COMPLETE)
    code, said = watched(run)
    assert code == ExitCode.OK
    assert f"`atoll report {run.path}` shows what came of it" in said


def test_one_that_has_failed_ends_with_its_code(run: RunFolder) -> None:
    run.write_status(FAILED)
    with pytest.raises(CliError, match="IslandsLost: island-0 broke; `atoll logs") as caught:
        watched(run)
    assert caught.value.exit_code == ExitCode.FINAL


@pytest.mark.parametrize("status", [RUNNING, TrainingJobStatus(state="Suspended")])
def test_one_that_nobody_goes_on_with(status: TrainingJobStatus, run: RunFolder) -> None:
    run.write_status(status)
    with pytest.raises(CliError, match="was stopped: `atoll run` goes on from there") as caught:
        watched(run)
    assert caught.value.exit_code == ExitCode.INTERRUPTED


def test_one_that_goes_on(run: RunFolder) -> None:
    run.write_status(RUNNING)
    with (run.path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, said = watched(run, Screen(run))
    assert code == ExitCode.OK
    assert "island-0    Running    4/8" in said
