"""Every way to end has a fixed code and one line; no traceback without --debug."""

import subprocess
import sys
from pathlib import Path

import pytest
from builders import job_document

from atoll_api.exit_codes import ExitCode
from atoll_cli.__main__ import exit_code_of
from atoll_cli.documents import to_yaml


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(to_yaml(job_document()))
    return path


def test_validate_says_ok(job_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["validate", str(job_file)]) == ExitCode.OK
    assert "OK: digits, 4 islands" in capsys.readouterr().out


def test_a_setting_of_the_log_that_says_nothing(
    job_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_LOG_LEVEL", "loud")
    assert exit_code_of(["validate", str(job_file)]) == ExitCode.USAGE
    said = "atoll: ATOLL_LOG_LEVEL is 'loud': say debug, info, warning or error\n"
    assert capsys.readouterr().err == said


def test_show_defaults_prints_a_job_that_is_valid(
    job_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert exit_code_of(["validate", "--show-defaults", str(job_file)]) == ExitCode.OK
    full = tmp_path / "full.yaml"
    full.write_text(capsys.readouterr().out)
    assert "batchSizePerIsland: 64" in full.read_text()
    assert exit_code_of(["validate", str(full)]) == ExitCode.OK


def test_every_problem_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(to_yaml(job_document(**{"islands.count": 0, "training.stepz": 1})))
    assert exit_code_of(["validate", str(path)]) == ExitCode.INVALID
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("atoll: spec.islands.count: 0:")
    assert lines[1].startswith("atoll: spec.training.stepz: unknown key")
    assert lines[-1].startswith("atoll: 2 problems")


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["validate", "no.yaml"], ExitCode.INVALID, "no such file"),
        (["validate"], ExitCode.USAGE, "Missing argument"),
        (["vaildate", "x"], ExitCode.USAGE, "No such command"),
        (["status", "."], ExitCode.FAILED, "not the folder of a run"),
        (["run", "x.yaml", "--parallel", "0"], ExitCode.USAGE, "is not in the range x>=1"),
        (["submit", "no.yaml"], ExitCode.INVALID, "no such file"),
        (["status", "-A", "digits"], ExitCode.USAGE, "leave TARGET out"),
        (["status", "--watch"], ExitCode.USAGE, "for one TARGET"),
        (["status", "digits", "--watch", "--json"], ExitCode.USAGE, "for one TARGET"),
        (["status", "digits", "--kubeconfig", "none"], ExitCode.USAGE, "does not exist"),
        (["suspend", "Digits"], ExitCode.FAILED, "not the name of a TrainingJob"),
        (["report", ".", "-o", "x"], ExitCode.USAGE, "is for a TrainingJob"),
        (["logs", "."], ExitCode.FAILED, "not the folder of a run"),
    ],
)
def test_mistakes(
    arguments: list[str], code: ExitCode, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(arguments) == code
    errors = capsys.readouterr().err
    assert expected in errors
    assert "Traceback" not in errors


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["--help"]) == ExitCode.OK
    text = capsys.readouterr().out
    for code in ExitCode:
        assert str(int(code)) in text or code is ExitCode.DISRUPTED


def test_the_crd_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["crd"]) == ExitCode.OK
    assert "kind: CustomResourceDefinition" in capsys.readouterr().out


@pytest.mark.parametrize("library", ["torch", "kopf", "kubernetes", "aiohttp"])
def test_looking_at_a_run_does_not_load(library: str) -> None:
    loaded = f"import sys, atoll_cli.__main__; print({library!r} in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "False"
