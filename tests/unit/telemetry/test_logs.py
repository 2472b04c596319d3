"""A line says when, how grave, what, and what it is about; whoever wrote it."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from atoll_telemetry import logs, subject
from atoll_telemetry.logs import LogSettings, LogSettingsError

Written = Callable[[], str]
LINE = {
    "ts": "2026-11-22T04:33:22.123Z",
    "level": "info",
    "logger": "atoll_worker.train.session",
    "msg": "resumed",
}


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """What goes to standard error; loggers are afterwards as they were."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    hooks = threading.excepthook, sys.excepthook
    levels = {name: logging.getLogger(name).level for name in ("kopf", "aiohttp")}
    yield lambda: capsys.readouterr().err
    logging.captureWarnings(capture=False)
    subject.of_process()
    threading.excepthook, sys.excepthook = hooks
    root.level, root.handlers = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def documents(written: Written) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written().splitlines()]


def test_a_line_of_json(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    subject.of_process(job="digits", namespace=None, step="island-3", island=3)
    said = logs.extra(round=2, loss=None)
    logging.getLogger("atoll_worker.x").info("round %d\nis over", 2, extra=said)
    (line,) = documents(written)
    moment = line.pop("ts")
    assert moment.endswith("Z")
    assert len(moment) == len("2026-11-22T04:33:22.123Z")
    assert line == {
        "level": "info",
        "logger": "atoll_worker.x",
        "msg": "round 2\nis over",
        "job": "digits",
        "step": "island-3",
        "island": 3,
        "round": 2,
    }


def test_an_exception_is_a_field(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    try:
        int("bad \ud800 byte")
    except ValueError:
        logging.getLogger("atoll").exception("it failed")
    (line,) = documents(written)
    assert line["msg"] == "it failed"
    assert line["exception"].startswith("Traceback")
    assert "ValueError: invalid literal" in line["exception"]


def test_a_call_that_is_wrong_is_a_line_still() -> None:
    wrong = logging.LogRecord("atoll", logging.INFO, "x.py", 1, "one %d", (1, 2), None)
    assert logs.document_of(wrong)["msg"] == "one %d (1, 2)"


def test_libraries_write_the_same_lines(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    about = {"kind": "TrainingJob", "name": "digits", "namespace": "lab"}
    logging.getLogger("kopf.objects").warning("odd", extra={"k8s_ref": about})
    logging.getLogger("kopf.objects").info("of no interest")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = documents(written)
    assert (first["logger"], first["job"], first["namespace"]) == ("kopf.objects", "digits", "lab")
    assert second["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in second["msg"]


def test_a_thread_that_dies_is_a_line(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    thread = threading.Thread(target=int, args=("x",), name="disk")
    thread.start()
    thread.join()
    (line,) = documents(written)
    assert (line["level"], line["msg"]) == ("error", "thread disk failed")
    assert "ValueError" in line["exception"]


def test_a_process_that_dies_is_a_line() -> None:
    program = "from atoll_telemetry import logs; logs.set_up(logs.LogSettings('json')); int('x')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    line = json.loads(done.stderr)
    assert (done.returncode, line["level"]) == (1, "critical")
    assert line["exception"].endswith("invalid literal for int() with base 10: 'x'")


def test_a_custom_task_is_heard_at_info(written: Written) -> None:
    logs.set_up(LogSettings("text"))
    logging.getLogger("my_task").info("look")
    logging.getLogger("my_task").debug("closer")
    assert written().endswith(" INFO    my_task: look\n")


def test_setting_up_again_writes_each_line_once(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    logs.set_up(LogSettings("text", "warning"))
    logging.getLogger("atoll").warning("once")
    logging.getLogger("atoll").info("never")
    assert len(written().splitlines()) == 1


async def test_jobs_that_are_worked_on_at_once_are_not_mixed_up(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    both = asyncio.Barrier(2)

    async def work(job: str) -> None:
        with subject.of(job=job, namespace="lab"):
            await both.wait()
            logging.getLogger("atoll").info(job)
            await asyncio.create_task(inner(job))

    async def inner(job: str) -> None:
        logging.getLogger("atoll").info(job)

    await asyncio.gather(work("a"), work("b"))
    logging.getLogger("atoll").info("nobody's")
    lines = documents(written)
    assert [line["msg"] == line.get("job") for line in lines] == [True] * 4 + [False]
    assert "namespace" not in lines[-1]


def test_what_a_process_is_about_holds_on_all_threads(written: Written) -> None:
    logs.set_up(LogSettings("json"))
    subject.of_process(step="island-0")
    thread = threading.Thread(target=lambda: logging.getLogger("atoll").info("saved"))
    thread.start()
    thread.join()
    assert documents(written)[0]["step"] == "island-0"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, LogSettings()),
        ({"ATOLL_LOG_FORMAT": " ", "ATOLL_LOG_LEVEL": ""}, LogSettings()),
        ({"ATOLL_LOG_FORMAT": "JSON"}, LogSettings("json")),
        ({"ATOLL_LOG_LEVEL": "Debug"}, LogSettings(level="debug")),
    ],
)
def test_settings_come_from_the_environment(
    environment: dict[str, str], expected: LogSettings
) -> None:
    assert logs.read(environment) == expected
    assert logs.read(expected.environment()) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ATOLL_LOG_FORMAT": "xml"}, "ATOLL_LOG_FORMAT is 'xml': say json or text"),
        (
            {"ATOLL_LOG_LEVEL": "loud"},
            "ATOLL_LOG_LEVEL is 'loud': say debug, info, warning or error",
        ),
        ({"ATOLL_LOG_LEVEL": "20"}, "ATOLL_LOG_LEVEL is '20'"),
    ],
)
def test_nonsense_is_refused(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(LogSettingsError, match=expected):
        logs.read(environment)


def test_json_becomes_text() -> None:
    assert logs.as_text(LINE).endswith(".123 INFO    resumed")
    of_a_job = {**LINE, "job": "digits", "namespace": "lab"}
    assert logs.as_text(of_a_job).endswith(" INFO    lab/digits: resumed")
    of_a_step = {**of_a_job, "step": "island-0", "exception": "Traceback\nValueError"}
    assert logs.as_text(of_a_step).endswith(" INFO    resumed\nTraceback\nValueError")
    assert logs.as_text({**LINE, "logger": "kopf"}).endswith(" INFO    kopf: resumed")


def test_what_was_written_is_read_again() -> None:
    assert logs.parse(logs.as_json(LINE)) == LINE
    for text in (
        logs.as_json(LINE),
        logs.as_text(LINE),
        logs.as_text({**LINE, "level": "critical"}),
    ):
        assert logs.is_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "atoll: island-0: the loss was nan",
        "{}",
        "{",
        "[1]",
        '{"ts": 3, "level": "info", "logger": "a", "msg": "b"}',
        '{"ts": "soon", "level": "info", "logger": "a", "msg": "b"}',
        '{"ts": "2026-11-22T04:33:22Z", "level": "info", "logger": "a"}',
        '{"ts": "2026-11-22T04:33:22Z", "level": 3, "logger": "a", "msg": "b"}',
        '{"a": ' * 100_000,
        "2026-11-22 is a day",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
    ids=lambda text: text[:20],
)
def test_what_others_write_is_no_line(text: str) -> None:
    assert not logs.is_line(text)
