"""Logs of operator, workers and command line: one setup, one format, on standard error.

JSON for machines, one object a line; text for people. Library lines come in the same format. What a
line is about is not said by whoever writes it: see `subject`.

    _log = logging.getLogger(__name__)
    _log.info("round %d is over", number, extra=logs.extra(round=number))
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from atoll_telemetry import subject, tracing

ENV_FORMAT: Final = "ATOLL_LOG_FORMAT"
ENV_LEVEL: Final = "ATOLL_LOG_LEVEL"
FORMATS: Final = ("json", "text")
LEVELS: Final = ("debug", "info", "warning", "error")

Document = Mapping[str, Any]
"""One line: `ts` (RFC 3339, UTC, milliseconds), `level`, `logger`, `msg`; `exception`, where there is
one; and what it is about."""

_LOUD: Final = ("aiohttp", "asyncio", "grpc", "kopf", "kubernetes", "matplotlib", "PIL", "urllib3")
"""Libraries that say at INFO what only their makers want to know."""
_FIELDS: Final = "fields"
_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]{4,8}\b")


class LogSettingsError(ValueError):
    """A setting that says nothing; the message is a sentence for whoever set it."""


@dataclass(frozen=True)
class LogSettings:
    """How a process logs."""

    format: str = "text"
    """One of FORMATS."""
    level: str = "info"
    """One of LEVELS: lines below it are not written."""

    def __post_init__(self) -> None:
        _require(ENV_FORMAT, self.format, FORMATS)
        _require(ENV_LEVEL, self.level, LEVELS)

    def environment(self) -> dict[str, str]:
        """What another process reads the same settings from."""
        return {ENV_FORMAT: self.format, ENV_LEVEL: self.level}


def read(environment: Mapping[str, str], default: LogSettings | None = None) -> LogSettings:
    """The settings in an environment; empty is the same as not there, and case does not matter.

    Raises:
        LogSettingsError: one of them is nonsense.
    """
    default = default or LogSettings()
    said = {name: environment.get(name, "").strip().lower() for name in (ENV_FORMAT, ENV_LEVEL)}
    return LogSettings(said[ENV_FORMAT] or default.format, said[ENV_LEVEL] or default.level)


def set_up(settings: LogSettings) -> None:
    """From now on all loggers of this process write lines so. May be called again."""
    handler = _Handler(settings.format)
    root = logging.getLogger()
    for before in [it for it in root.handlers if isinstance(it, _Handler)]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    loud = logging.INFO if settings.level == "debug" else logging.WARNING
    for name in _LOUD:
        logging.getLogger(name).setLevel(loud)
    logging.captureWarnings(capture=True)
    if settings.format == "json":  # a traceback of many lines is no line of JSON
        threading.excepthook = _thread_failed
        sys.excepthook = _process_failed


def extra(**fields: subject.Value | None) -> dict[str, dict[str, subject.Value]]:
    """What a single line says beside its message, for machines: the `extra` of a call."""
    return {_FIELDS: {name: it for name, it in fields.items() if it is not None}}


def document_of(record: logging.LogRecord) -> Document:
    """A record of `logging` as a line."""
    moment = datetime.fromtimestamp(record.created, UTC)
    found: dict[str, Any] = {
        "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "msg": _message(record),
        **subject.now(),
        **_of_kopf(record),
        **tracing.ids(),
    }
    own = getattr(record, _FIELDS, None)
    if isinstance(own, dict):
        found |= own
    if record.exc_info or record.exc_text:
        found["exception"] = record.exc_text or logging.Formatter().formatException(
            record.exc_info or (None, None, None)
        )
    return found


def as_json(line: Document) -> str:
    """One line, whatever it holds: ASCII, without a break."""
    return json.dumps(line, default=str)


def as_text(line: Document) -> str:
    """The same for people, in their time: when, how grave, whose, and what."""
    moment = datetime.fromisoformat(line["ts"]).astimezone()
    head = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} {line['level'].upper():<7}"
    said = f"{head} {_whose(line)}{line['msg']}"
    return f"{said}\n{line['exception']}" if line.get("exception") else said


def parse(line: str) -> Document | None:
    """A line as `as_json` writes it; None for any other."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
        datetime.fromisoformat(found["ts"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    fits = isinstance(found, dict) and all(
        isinstance(found.get(name), str) for name in ("level", "logger", "msg")
    )
    return found if fits else None


def is_line(line: str) -> bool:
    """Whether a logger wrote it, in either format."""
    return bool(_TEXT.match(line)) or parse(line) is not None


class _Handler(logging.StreamHandler[TextIO]):
    """To standard error, whichever that is by now."""

    def __init__(self, line_format: str) -> None:
        logging.Handler.__init__(self)
        self._written = as_json if line_format == "json" else as_text

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # asked for at each line
        return sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        return self._written(document_of(record))


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise LogSettingsError(
            f"{name} is {value[:40]!r}: say {', '.join(known[:-1])} or {known[-1]}"
        )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a line that is written wrongly is a line still
        return f"{record.msg} {record.args}"


def _of_kopf(record: logging.LogRecord) -> Document:
    """What kopf says of which object it speaks."""
    about = getattr(record, "k8s_ref", None)
    if not isinstance(about, dict) or about.get("kind") != "TrainingJob":
        return {}
    found = {"job": about.get("name"), "namespace": about.get("namespace")}
    return {name: it for name, it in found.items() if it}


def _whose(line: Document) -> str:
    """The job, in the log of a process that works for many; and a logger that is not ours."""
    job = f"{line.get('namespace', '')}/{line['job']}".strip("/") if "job" in line else ""
    logger = line["logger"]
    said = (job if "step" not in line else "", "" if logger.startswith("atoll") else logger)
    return "".join(f"{it}: " for it in said if it)


def _process_failed(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("this process failed", exc_info=(kind, error, trace))


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is SystemExit or failed.exc_value is None:
        return
    name = failed.thread.name if failed.thread else "?"
    logging.getLogger(__name__).error("thread %s failed", name, exc_info=failed.exc_value)
