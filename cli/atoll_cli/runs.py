"""A run's folder, read by the commands that look at it afterwards."""

import fcntl
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from atoll_api.exit_codes import ExitCode
from atoll_api.spec import TrainingJob
from atoll_api.status import TrainingJobStatus
from atoll_cli.errors import CliError

MERGED = "Merged"
"""The one model of a strategy that merges, among systems."""


def read_status(folder: Path) -> TrainingJobStatus:
    """The status written last.

    Raises:
        CliError: the folder is no run's, or its status cannot be read.
    """
    path = _require(folder) / "status.json"
    try:
        return TrainingJobStatus.from_document(_document(path))
    except FileNotFoundError:
        raise CliError(f"{folder}: the run has no status yet", ExitCode.FAILED) from None
    except ValueError as error:
        told = f"{path}: not a status of this release: {in_short(error)}"
        raise CliError(told, ExitCode.FINAL) from None


def read_job(folder: Path) -> TrainingJob:
    """The job of a run, resolved as it was accepted.

    Raises:
        CliError: the folder is no run's, or its job is of another release.
    """
    path = _require(folder) / "job.json"
    try:
        return TrainingJob.from_document(_document(path))
    except ValueError as error:
        told = f"{path}: not a job of this release: {in_short(error)}"
        raise CliError(told, ExitCode.FINAL) from None


def read_report(folder: Path) -> dict[str, Any]:
    """The numbers of a finished run; of a job on a cluster too, once they are in a folder.

    Raises:
        CliError: there is no report yet, or it is none of this release.
    """
    from atoll_worker.report.document import Report  # noqa: PLC0415 - few commands read one

    path = folder / "report.json"
    try:
        report: dict[str, Any] = _document(path)
        Report.from_document(report)
    except (FileNotFoundError, NotADirectoryError):
        state = read_status(folder).state
        hint = _WITHOUT_REPORT.get(state, "run it to its end first")
        raise CliError(f"{folder}: no report: the run is {state}; {hint}") from None
    except ValueError as error:
        told = f"{path}: not a report of this release: {in_short(error)}; {_ANEW}"
        raise CliError(told, ExitCode.FINAL) from None
    return report


def in_short(error: ValueError) -> str:
    """What is wrong with a document, in a line; of several problems the first."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    first = error.errors(include_url=False)[0]
    path = ".".join(f"{part:.60}" for part in map(str, first["loc"]))
    return f"{path}: {first['msg']:.300}" if path else str(first["msg"])


def _document(path: Path) -> Any:
    """A JSON file that a run has written.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: nor could there be.
        ValueError: it is not JSON.
        CliError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}", ExitCode.FINAL) from None


_ANEW = "remove it and run the job again: only the report is made anew"
_WITHOUT_REPORT = {
    "Failed": "its logs say why",
    "Complete": "run the job again: only the report is made anew",
}


def _require(folder: Path) -> Path:
    if not (folder / "job.json").is_file():
        raise CliError(
            f"{folder}: not the folder of a run; give what `atoll run` called it, or --namespace for "
            "a job on a cluster"
        )
    return folder


def combine_of(job: TrainingJob) -> str:
    """What the job's system is: a combine strategy, or one merged model."""
    ensemble = job.spec.strategy.expert_ensemble
    return MERGED if ensemble is None else ensemble.combine.type


def require_system(job: TrainingJob, combine: str) -> None:
    """Refuse what the job has none of.

    Raises:
        CliError: an ensemble of a job that merges, or the contrary.
    """
    kind, merges = job.spec.strategy.type, job.spec.strategy.expert_ensemble is None
    if combine != "Baseline" and merges != (combine == MERGED):
        usable = "Merged or Baseline" if merges else "a combine strategy or Baseline"
        raise CliError(f"--combine {combine}: a job of {kind} has none: say {usable}")


def is_going(folder: Path) -> bool:
    """Whether a process works on the run: each of them holds its lock."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
