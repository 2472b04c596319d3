"""A run or a job, shown until it has ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from rich.console import Console

from atoll_api.exit_codes import ExitCode
from atoll_api.status import TrainingJobStatus
from atoll_cli import live, runs
from atoll_cli.endings import conclude
from atoll_cli.errors import CliError
from atoll_cli.targets import ClusterJob, Run
from atoll_operator.plan.status import ended_in

_LOOK_SECONDS: Final = 0.5
"""Between two looks at a folder."""


def until_ended(console: Console, target: Run | ClusterJob, *, plain: bool) -> int:
    """Show it until it ends, or the user has seen enough; the exit code.

    Raises:
        CliError: it failed, or it goes on no more.
    """
    view = live.Lines(console) if plain or not console.is_terminal else live.Bars(console)
    try:
        with view:
            last = asyncio.run(_follow(target, view))
    except KeyboardInterrupt:
        told = f"Not watched any more. `atoll status {target.title}` says how far it is."
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        return ExitCode.INTERRUPTED
    code = conclude(last, f"`atoll logs {target.title}` shows more")
    if code is None:
        raise CliError(
            f"{target.title}: the run was stopped: `atoll run` goes on from there",
            ExitCode.INTERRUPTED,
        )
    told = f"Complete. `atoll report {target.title}` shows what came of it."
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    return code


async def _follow(target: Run | ClusterJob, view: live.View) -> TrainingJobStatus:
    """The last status; of a job that has ended, or of a run that nobody goes on with."""
    last = TrainingJobStatus()
    async with aclosing(statuses(target)) as heard:
        async for status in heard:
            last = status
            view.show(status)
            if ended_in(status) is not None:
                break
    return last


def statuses(target: Run | ClusterJob) -> AsyncGenerator[TrainingJobStatus, None]:
    """Each new status of a run, as long as somebody works on it, or of a job, as long as it is there.

    Raises:
        CliError: there is none, or the job was deleted.
    """
    match target:
        case Run():
            return _of_run(target)
        case ClusterJob():
            return _of_job(target)


async def _of_run(run: Run) -> AsyncGenerator[TrainingJobStatus, None]:
    """Until the run is stopped, or is going no more."""
    seen: TrainingJobStatus | None = None
    while True:
        going = runs.is_going(
            run.folder
        )  # asked first: a run writes its last status before it ends
        status = run.status()
        if status != seen:
            seen = status
            yield status
        if not going and ended_in(status) is None:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _of_job(job: ClusterJob) -> AsyncGenerator[TrainingJobStatus, None]:
    from atoll_cli.cluster import connection, jobs  # noqa: PLC0415 - takes half a second

    async with (
        connection.connected(job.place) as api,
        aclosing(jobs.watch(api, job.place, job.name)) as versions,
    ):
        async for version in versions:
            yield version.status
