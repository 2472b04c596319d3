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
        return TrainingJobStatus.from_document(json.loads(path.read_text()))
    except FileNotFoundError:
        raise CliError(f"{folder}: the run has no status yet", ExitCode.FAILED) from None
    except (ValueError, ValidationError) as error:
        raise CliError(f"{path}: not a status of this release: {error}", ExitCode.FINAL) from None


def read_job(folder: Path) -> TrainingJob:
    """The job of a run, resolved as it was accepted.

    Raises:
        CliError: the folder is no run's, or its job is of another release.
    """
    path = _require(folder) / "job.json"
    try:
        return TrainingJob.from_document(json.loads(path.read_text()))
    except (ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CliError(f"{path}: not a job of this release: {reason}", ExitCode.FINAL) from None


def read_report(folder: Path) -> dict[str, Any]:
    """The numbers of a finished run; of a job on a cluster too, once they are in a folder.

    Raises:
        CliError: there is no report yet.
    """
    path = folder / "report.json"
    try:
        report: object = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        state = read_status(folder).state
        hint = _WITHOUT_REPORT.get(state, "run it to its end first")
        raise CliError(f"{folder}: no report: the run is {state}; {hint}") from None
    except ValueError as error:
        raise CliError(f"{path}: damaged: {error}; {_ANEW}", ExitCode.FINAL) from None
    if not isinstance(report, dict) or not {"findings", "run"} <= report.keys():
        raise CliError(f"{path}: not a report of this release; {_ANEW}", ExitCode.FINAL)
    return report


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
