"""The folder of one job: what lies where, and who may use it.

job.json      the resolved job; a rerun with another one is refused
lock          held by the run and by every child it started
status.json   the status, replaced whole
hub/          the artifact store
identity/     certificates and keys, one a process; made anew by every run
orders/       work orders, one a process
logs/         output of the processes
prometheus/   for Prometheus: what to scrape while the run goes on
report.json   report.html
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from atoll_api.names import StepName
from atoll_api.spec import TrainingJob
from atoll_api.status import EvaluationStatus, Metric, TrainingJobStatus
from atoll_api.work_order import WorkOrder, dump
from atoll_operator.errors import (
    BrokenFolderError,
    FolderError,
    FolderInUseError,
    OtherJobError,
)
from atoll_operator.local.same_job import difference


@dataclass(frozen=True)
class RunFolder:
    """Paths and documents of one job's folder. Writes raise `FolderError`."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        """The folder at a path, which may be relative to the current one."""
        return cls(path.absolute())

    @property
    def store(self) -> Path:
        """The artifact store."""
        return self.path / "hub"

    @property
    def hub_ready(self) -> Path:
        """Written by the hub once it serves."""
        return self.path / "orders" / "hub.ready.json"

    @property
    def identity(self) -> Path:
        """What the processes of the present run prove themselves with."""
        return self.path / "identity"

    @property
    def report(self) -> Path:
        """Every number of the evaluation."""
        return self.path / "report.json"

    @property
    def has_report(self) -> bool:
        """Whether both the numbers and the page are there."""
        return self.report.exists() and self.report.with_suffix(".html").exists()

    def bound_refs(self) -> frozenset[str]:
        """What the files of the store say is bound, where they can be read; no hub has to run."""
        return frozenset(filter(None, map(_ref_in, self._ref_files())))

    def _ref_files(self) -> Iterator[Path]:
        return (self.store / "refs").glob("*.json")

    def log(self, name: StepName) -> Path:
        """Output of one process, all attempts."""
        return self.path / "logs" / f"{name}.log"

    def order(self, name: StepName) -> Path:
        """The work order of one process."""
        return self.path / "orders" / f"{name}.json"

    def write_order(self, name: StepName, order: WorkOrder) -> None:
        """Replace one work order."""
        self._write(self.order(name), dump(order))

    def metrics_file(self, name: StepName) -> Path:
        """Written by a process once it can be scraped: `{"address": "HOST:PORT", "pid": N}`."""
        return self.path / "orders" / f"{name}.metrics.json"

    def write_scraping(self, name: str, text: str) -> None:
        """Replace one file for Prometheus."""
        self._write(self.path / "prometheus" / name, text)

    def write_status(self, status: TrainingJobStatus) -> None:
        """Replace the status."""
        self._write(self.path / "status.json", json.dumps(status.to_document(), indent=2) + "\n")

    def read_status(self) -> TrainingJobStatus | None:
        """The status written last, or None.

        Raises:
            BrokenFolderError: the file is no status.
        """
        text = _read(self.path / "status.json")
        try:
            return TrainingJobStatus.model_validate_json(text) if text else None
        except ValidationError as error:
            raise BrokenFolderError(
                f"{self.path / 'status.json'} is no status: remove it and run again"
            ) from error

    def read_metrics(self) -> tuple[Metric, ...]:
        """The headline numbers of the report; empty while there is no report.

        Raises:
            BrokenFolderError: the file is no report.
        """
        try:
            found = json.loads(_read(self.report) or "{}").get("metrics", [])
            return EvaluationStatus.from_document({"metrics": found}).metrics
        except (ValueError, AttributeError, RecursionError) as error:  # no JSON, or no metrics
            raise BrokenFolderError(
                f"{self.report} has no readable metrics: remove it and run again"
            ) from error

    def adopt(self, job: TrainingJob) -> None:
        """Make the folder that of `job`, or see that it is.

        Raises:
            OtherJobError: it is another's.
            BrokenFolderError: its job.json cannot be read.
        """
        path = self.path / "job.json"
        try:
            text = _read(path)
            known = TrainingJob.model_validate_json(text) if text else job
        except ValidationError as error:
            raise BrokenFolderError(
                f"{path} is no job that this version reads: use another --out"
            ) from error
        if not text and any(self._ref_files()):
            raise OtherJobError(
                f"{self.path} holds results but no job.json that says of what: use another --out"
            )
        found = difference(known, job)
        if found is not None:
            raise OtherJobError(f"{self.path} holds another job ({found}): use another --out")
        self._write(path, json.dumps(job.to_document(), indent=2) + "\n")

    def make(self) -> None:
        """Create what is missing."""
        with folder_errors(self.path):
            for name in ("hub", "orders", "logs", "prometheus"):
                (self.path / name).mkdir(parents=True, exist_ok=True)

    async def lock(self, patience_seconds: float) -> int:
        """Take the lock; returns the descriptor that holds it until the last copy is closed.

        A run that was killed leaves children that take a moment to notice; they are waited for.

        Raises:
            FolderInUseError: another run lives, or its children do not end.
        """
        with folder_errors(self.path / "lock"):
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + patience_seconds
        while not _try_lock(fd):
            holder = _holder(fd)
            if _alive(holder) or time.monotonic() > deadline:
                os.close(fd)
                raise FolderInUseError(
                    f"{self.path} is in use by another run (process {holder}): "
                    "wait for it, stop it, or use another --out"
                )
            await asyncio.sleep(0.05)
        os.truncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def _write(self, path: Path, text: str) -> None:
        with folder_errors(path):
            draft = path.with_name(path.name + ".draft")
            draft.write_text(text)
            draft.replace(path)


@contextmanager
def folder_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a write into one line for the user."""
    try:
        yield
    except OSError as error:
        raise FolderError(
            f"cannot write {path}: {error.strerror}: free some space or use another --out"
        ) from error


def _read(path: Path) -> str:
    """The text of a file; empty if there is none.

    Raises:
        BrokenFolderError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise BrokenFolderError(
            f"{path} cannot be read ({reason}): remove it and run again, or use another --out"
        ) from error


def _ref_in(path: Path) -> str:
    """Of which ref a file of the store says what it is bound to; empty if it cannot be read."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    ref = said.get("ref") if isinstance(said, dict) else None
    return ref if isinstance(ref, str) else ""


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdecimal() else None


def _alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
