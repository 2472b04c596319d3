"""What a command is about: a run in a folder of this machine, or a job on a cluster.

The one place that decides which. Behind it both are asked the same.
"""

import re
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atoll_api.names import JOB_NAME_MAX_LENGTH, JOB_NAME_PATTERN
from atoll_api.spec import TrainingJob
from atoll_api.spec.job import Metadata
from atoll_api.status import TrainingJobStatus
from atoll_cli import runs
from atoll_cli.cluster.place import Place, Wanted, find_place
from atoll_cli.errors import CliError

if TYPE_CHECKING:
    from atoll_worker.exchange.client import ExchangeClient


class Target(ABC):
    """A run or a job; nothing is read before it is asked for."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What messages call it, and what a user writes to mean it again."""

    @abstractmethod
    def job(self) -> TrainingJob:
        """The job, resolved as it was accepted."""

    @abstractmethod
    def status(self) -> TrainingJobStatus:
        """The status written last."""

    @abstractmethod
    def artifacts(self) -> "AbstractContextManager[ExchangeClient]":
        """Its artifacts, whether it is still going or not."""


@dataclass(frozen=True)
class Run(Target):
    """What `atoll run` has made."""

    folder: Path

    @property
    def title(self) -> str:
        """The folder."""
        return str(self.folder)

    def job(self) -> TrainingJob:
        """Of its job.json."""
        return runs.read_job(self.folder)

    def status(self) -> TrainingJobStatus:
        """Of its status.json."""
        return runs.read_status(self.folder)

    def artifacts(self) -> "AbstractContextManager[ExchangeClient]":
        """Of its hub, which is started if it does not run."""
        from atoll_cli.hub import artifacts_of  # noqa: PLC0415 - torch takes seconds

        return artifacts_of(self.folder)


@dataclass(frozen=True)
class ClusterJob(Target):
    """A TrainingJob."""

    place: Place
    name: str

    @property
    def title(self) -> str:
        """The name, and how to come there."""
        return f"{self.name}{self.place.flags}"

    def job(self) -> TrainingJob:
        """Of its ConfigMap."""
        from atoll_cli.cluster import accepted, connection  # noqa: PLC0415 - takes half a second

        place, name = self.place, self.name
        resolved = connection.ask(place, lambda api: accepted.read_resolved(api, place, name))
        metadata = Metadata(name=name, namespace=place.namespace)
        return TrainingJob(
            api_version="atoll.dev/v1alpha1",
            kind="TrainingJob",
            metadata=metadata,
            spec=resolved.spec,
        )

    def status(self) -> TrainingJobStatus:
        """Of the API server."""
        from atoll_cli.cluster import connection, jobs  # noqa: PLC0415 - takes half a second

        place, name = self.place, self.name
        return connection.ask(place, lambda api: jobs.read(api, place, name)).status

    def artifacts(self) -> "AbstractContextManager[ExchangeClient]":
        """Of its hub, through a port of this machine."""
        from atoll_cli.cluster.hub import artifacts_of  # noqa: PLC0415 - torch takes seconds

        return artifacts_of(self.place, self.name)


def locate(text: str, wanted: Wanted) -> Run | ClusterJob:
    """What the user means: a folder if it is there, else the name of a TrainingJob.

    Raises:
        CliError: it can be neither.
    """
    folder = Path(text)
    on_cluster = bool(wanted.flags)
    if not on_cluster and (folder.exists() or not is_job_name(text)):
        return Run(folder)
    try:
        return cluster_job(text, wanted)
    except CliError as error:
        if on_cluster:
            raise
        hint = f"{text}: no such folder here, and no cluster to ask: {error}"
        raise CliError(hint, error.exit_code) from error


def cluster_job(name: str, wanted: Wanted) -> ClusterJob:
    """A TrainingJob by its name.

    Raises:
        CliError: no job is called so, or nothing says which cluster.
    """
    if not is_job_name(name):
        raise CliError(f"{name}: not the name of a TrainingJob: they are as in my-job-1")
    return ClusterJob(find_place(wanted), name)


def is_job_name(text: str) -> bool:
    """Whether a TrainingJob can be called so."""
    return len(text) <= JOB_NAME_MAX_LENGTH and bool(re.fullmatch(JOB_NAME_PATTERN, text))
