"""Which steps are meant, and how their lines are shown."""

import json
from pathlib import Path

import pytest
from builders import job_document
from click.testing import CliRunner

from atoll_cli import logs
from atoll_cli.commands.logs import command
from atoll_cli.errors import CliError
from atoll_cli.logs import Pieces, Teller, chosen, in_order

STEPS = ["evaluate", "island-10", "island-2", "router", "hub", "partition", "island-0"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "job.json").write_text(json.dumps(job_document()))
    (tmp_path / "logs").mkdir()
    for name, text in (("island-0", "one\ntwo"), ("hub", "serves\n"), ("island-1", "\n")):
        (tmp_path / "logs" / f"{name}.log").write_text(text)
    return tmp_path


def test_steps_in_the_order_of_a_run() -> None:
    assert in_order(STEPS) == [
        "hub", "partition", "island-0", "island-2", "island-10", "evaluate", "router",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("router", ["router"]),
        ("islands", ["island-0", "island-2", "island-10"]),
        ("island", ["island-0", "island-2", "island-10"]),
    ],
)
def test_a_step_or_all_islands(asked: str, expected: list[str]) -> None:
    assert chosen(asked, STEPS, "digits") == expected


def test_a_step_that_is_none() -> None:
    with pytest.raises(CliError, match="digits: no step routr; did you mean router"):
        chosen("routr", STEPS, "digits")
    with pytest.raises(CliError, match="there is: hub, partition, island-0 to island-10, evaluate"):
        chosen("xyz", STEPS, "digits")


def test_pieces_become_lines() -> None:
    pieces = Pieces()
    assert pieces.feed(b"a") == []
    assert pieces.feed(b"b\n\nc\nd") == [b"ab", b"", b"c"]
    assert pieces.rest() == [b"d"]
    assert Pieces().rest() == []


def test_lines_say_whose_they_are_where_there_are_several(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Teller(["hub"]).tell("hub", b"alone\r")
    Teller(["hub", "island-0"]).tell("hub", b"bad \xff byte")
    assert capsys.readouterr().out == "alone\nhub      | bad \ufffd byte\n"


JSON = (
    b'{"ts": "2026-11-22T04:33:22.123Z", "level": "info", "logger": "atoll_worker.x", '
    b'"msg": "resumed", "job": "digits", "step": "island-0"}'
)


def test_json_is_read_to_people_and_passed_on_raw(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (JSON, b"atoll: island-0: it failed", b"{}"):
        Teller(["island-0"]).tell("island-0", line)
        Teller(["island-0"], raw=True).tell("island-0", line)
    text, raw, *rest = capsys.readouterr().out.splitlines()
    assert text.endswith(".123 INFO    resumed")
    assert raw == JSON.decode()
    assert rest == 2 * ["atoll: island-0: it failed"] + 2 * ["{}"]


def test_off_a_terminal_lines_are_passed_on(run: Path) -> None:
    (run / "logs/hub.log").write_bytes(JSON + b"\n")
    result = CliRunner().invoke(command, [str(run), "hub"])
    assert result.stdout == JSON.decode() + "\n"


def test_all_logs_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_run(run, None, follow=False)
    assert capsys.readouterr().out.splitlines() == [
        "hub       | serves",
        "island-0  | one",
        "island-0  | two",
        "island-1  | ",
    ]


def test_a_step_that_has_no_log_yet(run: Path) -> None:
    with pytest.raises(CliError, match="no logs yet of router"):
        logs.show_run(run, "router", follow=False)


def test_following_a_run_that_nobody_goes_on_with_ends(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.show_run(run, "island-0", follow=True)
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="not the folder of a run"):
        logs.show_run(tmp_path, None, follow=False)
