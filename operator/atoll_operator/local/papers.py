"""Who is who in one run on this machine: every certificate, issued in one pass at its start."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from atoll_api import names
from atoll_api.names import Process
from atoll_api.work_order import IdentityFiles, JobIdentity
from atoll_operator.identity import Authority, Identity, files_of, write
from atoll_operator.local.folder import folder_errors
from atoll_operator.plan.model import Step


@dataclass(frozen=True)
class Papers:
    """The identities of one run; those of an earlier run are worth nothing to its hub."""

    job: JobIdentity
    operator: Identity
    """Stays in the memory of this process."""
    folder: Path

    @classmethod
    def issue(cls, job: JobIdentity, steps: Iterable[Step], folder: Path) -> Self:
        """Issue one for the hub, the command line and each step, into a folder made anew.

        Raises:
            FolderError: the folder cannot be written.
        """
        authority = Authority(job.uid, datetime.now(UTC))
        known = [Process(job.uid, role) for role in (names.HUB, names.CLI)]
        processes = known + [Process(job.uid, step.role, step.island or 0) for step in steps]
        with folder_errors(folder):
            write((authority.issue(process) for process in processes), folder)
        operator = authority.issue(Process(job.uid, names.OPERATOR))
        return cls(job, operator, folder)

    def files(self, role: str, island: int | None = None) -> IdentityFiles:
        """Where the process of a role finds its own."""
        return files_of(Process(self.job.uid, role, island or 0), self.folder)
