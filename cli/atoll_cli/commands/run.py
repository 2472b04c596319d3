"""`atoll run`: one job, on this machine, to its end."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from atoll_api.exit_codes import ExitCode
from atoll_api.problems import warnings
from atoll_api.spec import TrainingJob
from atoll_cli import live, runs, summary
from atoll_cli.documents import read_job
from atoll_cli.endings import failure
from atoll_cli.errors import CliError
from atoll_cli.timelines import put_into_page, show_timeline
from atoll_operator.errors import OperatorError
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.run import run
from atoll_operator.local.storage import where_artifacts_live
from atoll_operator.plan.model import Complete, Failed, Ongoing, Outcome, Stopped
from atoll_telemetry import tracing


@click.command("run", short_help="Run a job on this machine, to its end.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.  [runs/NAME]")
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    help="Steps that train at the same time.  [one a core]",
)
@click.option(
    "--hub-port",
    type=click.IntRange(min=0, max=65535),
    default=0,
    help="Port of the hub on loopback; 0 takes a free one.",
    show_default=True,
)
@click.option("--no-metrics", is_flag=True, help="Count nothing, and let nobody scrape.")
@click.option("--plain", is_flag=True, help="Lines instead of bars; the default off a terminal.")
def command(
    file: Path,
    *,
    out: Path | None,
    parallel: int | None,
    hub_port: int,
    no_metrics: bool,
    plain: bool,
) -> int:
    """Run the TrainingJob in FILE on this machine.

    Each island is a process of its own. Ctrl-C stops them cleanly; running again with the same
    folder goes on from there, and a run that is complete is not done twice.
    """
    job = read_job(file)
    folder = out or Path("runs") / job.metadata.name
    for warning in warnings(job.spec, on_cluster=False):
        print(f"warning: {warning}", file=sys.stderr)
    options = LocalOptions(
        base_folder=file.resolve().parent,
        parallel=parallel,
        hub_port=hub_port,
        metrics=not no_metrics,
        debug=bool(click.get_current_context().obj),
    )
    console = Console(stderr=False)
    view = live.Lines(console) if plain or not console.is_terminal else live.Bars(console)
    console.print(f"[bold]{job.metadata.name}[/]: {job.spec.islands.count} islands, in {folder}")
    if said := where_artifacts_live(job, options.base_folder, folder):
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    tracing.set_up("atoll-operator")
    try:
        with view:
            ended, received = asyncio.run(_until_ended(job, folder, options, view))
    except OperatorError as error:
        raise CliError(str(error), error.exit_code) from error
    finally:
        tracing.shut_down()
    return _conclude(console, folder, ended, received)


async def _until_ended(
    job: TrainingJob, folder: Path, options: LocalOptions, view: live.View
) -> tuple[Outcome, signal.Signals | None]:
    """Run the job; the first Ctrl-C or SIGTERM stops it cleanly, and is returned."""
    stop = asyncio.Event()
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        view.say("stopping: islands save their state first (up to 30 s)")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    ended = await run(job, folder, options, view.show, stop)
    return ended, received[0] if received else None


def _conclude(
    console: Console, folder: Path, ended: Outcome, received: signal.Signals | None
) -> int:
    """Say how the run ended and what to do next; the exit code."""
    match ended:
        case Complete():
            status = runs.read_status(folder)
            put_into_page(console, folder, status, time.time())
            summary.show(console, folder)
            show_timeline(console, status, time.time())
            return ExitCode.OK
        case Failed(reason=reason, message=message):
            logs = f"logs are in {folder / 'logs'}"
            raise failure(runs.read_status(folder), reason, message, logs)
        case Stopped() | Ongoing():
            console.print(f"Stopped. Run the same command again to go on from here ({folder}).")
            terminated = received == signal.SIGTERM
            return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED
