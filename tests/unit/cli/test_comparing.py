"""`atoll report A B` and the timeline of `atoll report`: folders in, a page and a table out."""

import json
from pathlib import Path

import pytest
from complete_runs import complete_run as make

from atoll_api.exit_codes import ExitCode
from atoll_api.status import TrainingJobStatus
from atoll_cli.__main__ import exit_code_of


def atoll(*words: str | Path) -> int:
    return exit_code_of([*map(str, words)])


def test_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = make(tmp_path / "a"), make(tmp_path / "b", seed=5)
    assert atoll("report", a, b, "-o", tmp_path / "both") == ExitCode.OK
    said = capsys.readouterr().out
    assert "spec.seed" in said
    assert "The seeds differ (0 and 5)" in " ".join(said.split())
    assert "Artifacts: 2 equal" in said
    page = tmp_path / "both" / "comparison.html"
    assert str(page) in said
    assert "B less A" in page.read_text()
    document = json.loads((page.with_suffix(".json")).read_text())
    assert atoll("report", a, b, "--json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == document


def test_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a"), make(tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    assert atoll("report", "a", "b") == ExitCode.OK
    assert (tmp_path / "a-and-b" / "comparison.html").is_file()


def test_a_report_without_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = make(tmp_path / "a"), make(tmp_path / "b")
    (b / "job.json").unlink()
    assert atoll("report", a, b, "-o", tmp_path / "both") == ExitCode.OK
    assert "holds a report alone" in " ".join(capsys.readouterr().out.split())
    assert atoll("report", b) == ExitCode.OK
    assert "Timeline" not in capsys.readouterr().out


@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_run_is_named(
    first: bool,  # noqa: FBT001
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad = make(tmp_path / "good"), tmp_path / "bad"
    bad.mkdir()
    assert atoll("report", *((bad, good) if first else (good, bad))) == ExitCode.FAILED
    assert f"{bad}: not the folder of a run" in capsys.readouterr().err


def test_one_that_has_not_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = make(tmp_path / "a"), make(tmp_path / "b", TrainingJobStatus(state="Running"))
    (b / "report.json").unlink()
    assert atoll("report", a, b) == ExitCode.FAILED
    assert f"{b}: no report: the run is Running; run it to its end first" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "{", '{"findings": {}, "run": {}}'])
def test_a_report_that_cannot_be_read(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = make(tmp_path / "a"), make(tmp_path / "b")
    (b / "report.json").write_text(text)
    assert atoll("report", a, b) == ExitCode.FINAL
    (line,) = capsys.readouterr().err.splitlines()
    assert str(b) in line


def test_the_timeline_of_one_is_drawn_and_put_into_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(tmp_path / "a")
    for _ in range(2):
        assert atoll("report", folder) == ExitCode.OK
        said = capsys.readouterr().out
        assert "Timeline, 10 s:" in said
        (row,) = (line for line in said.splitlines() if line.startswith("island-0"))
        assert "█" in row
        assert "6.5 s" in row
        page = (folder / "report.html").read_text()
        assert page.count("<h2>Timeline</h2>") == 1


def test_a_page_that_nobody_may_write_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(tmp_path / "a")
    (folder / "report.html").write_bytes(b"\xff\xfe no text")
    assert atoll("report", folder) == ExitCode.OK
    assert "the page has no timeline" in capsys.readouterr().out


def test_output_is_not_for_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert atoll("report", make(tmp_path / "a"), "-o", tmp_path / "x") == ExitCode.USAGE
    assert "--output is for a TrainingJob, or for two" in capsys.readouterr().err


_DAMAGE = (b"\xff", b"[" * 100_000, b'{"a": 1, "b": 2}', b"{")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, it) for name in ("job.json", "status.json", "report.json") for it in _DAMAGE),
        ("status.json", b'{"startTime": "\xc3\xa926-01-31T12:00:00Z"}'),
        ("status.json", None),
        ("report.json", None),
    ],
)
def test_a_file_of_a_run_that_was_damaged_is_named_in_a_line(
    name: str, damage: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two problems of a status were six lines; half a report was a KeyError."""
    path = make(tmp_path / "a") / name
    path.unlink()
    path.mkdir() if damage is None else path.write_bytes(damage)
    command = ("report",) if name == "report.json" else ("report", make(tmp_path / "b"))
    assert atoll(*command, tmp_path / "a") == ExitCode.FINAL
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert "--debug" not in line
