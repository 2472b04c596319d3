"""What `atoll top` may be about when nobody says it: the runs of this folder, the jobs of a cluster."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll_api.status import TrainingJobStatus
from atoll_cli import runs
from atoll_cli.cluster.place import Wanted, find_place
from atoll_cli.errors import CliError, ExitCode
from atoll_cli.targets import ClusterJob, Run

RUNS: Final = Path("runs")
"""Where `atoll run` puts its folders."""
_PATIENCE_SECONDS: Final = 5.0
_NAMED: Final = 20


@dataclass(frozen=True)
class Found:
    """What is going on.

    Attributes:
        targets: runs, then jobs.
        unknown: why there may be more; empty where all have been asked.
    """

    targets: tuple[Run | ClusterJob, ...]
    unknown: str = ""


def only_one(found: Found) -> Run | ClusterJob:
    """The one that is going.

    Raises:
        CliError: none is, or several are.
    """
    match found.targets:
        case (one,):
            return one
        case ():
            more = f"; {found.unknown}" if found.unknown else ""
            raise CliError(f"no run in {RUNS}/ is going, and no TrainingJob{more}")
        case several:
            named = ", ".join(map(_named, several[:_NAMED]))
            named += ", ..." if len(several) > _NAMED else ""
            raise CliError(f"{len(several)} are going: say which: {named}", ExitCode.USAGE)


def _named(target: Run | ClusterJob) -> str:
    """Where its cluster is, the user has said already."""
    return target.name if isinstance(target, ClusterJob) else target.title


def find(wanted: Wanted) -> Found:
    """All that is going: on this machine, unless a cluster is named, and on the cluster.

    A cluster that does not answer is no error here: the run beside it can be looked at.
    """
    local = () if wanted.flags else local_runs()
    try:
        return Found((*local, *_jobs(wanted)))
    except CliError as error:
        if wanted.flags:
            raise
        return Found(local, unknown=str(error))


def local_runs(folder: Path = RUNS) -> tuple[Run, ...]:
    """The runs in the folders of a folder that a process works on, by name."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(Run(it) for it in inside if (it / "job.json").is_file() and runs.is_going(it))


def _jobs(wanted: Wanted) -> Sequence[ClusterJob]:
    place = find_place(wanted)
    from atoll_cli.cluster import connection, jobs  # noqa: PLC0415 - takes half a second
    from atoll_cli.cluster.jobs import JobOnCluster  # noqa: PLC0415 - see above
    from atoll_operator.kubernetes.api import Api  # noqa: PLC0415 - see above

    async def question(api: Api) -> list[JobOnCluster]:
        return await asyncio.wait_for(jobs.read_all(api, place), _PATIENCE_SECONDS)

    try:
        known = connection.ask(place, question)
    except TimeoutError:
        raise CliError(f"the cluster of {place.title} does not answer") from None
    return [ClusterJob(place, it.name) for it in known if _is_going(it.view.status)]


def _is_going(status: TrainingJobStatus | None) -> bool:
    return status is None or status.state not in ("Complete", "Failed", "Suspended")
