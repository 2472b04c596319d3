"""`atoll logs`: what the processes of a run or a job print."""

import sys

import click

from atoll_cli import logs
from atoll_cli.cluster.place import Wanted
from atoll_cli.options import cluster_options
from atoll_cli.targets import ClusterJob, Run, locate

_EXAMPLES = """\b
Examples:
  atoll logs runs/digits island-0
  atoll logs digits islands -f -n lab"""


@click.command("logs", short_help="What the processes of a run or a job print.", epilog=_EXAMPLES)
@click.argument("target")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until it has ended.")
@click.option("--raw", is_flag=True, help="Lines of JSON as they are; the default off a terminal.")
@cluster_options()
def command(target: str, *, step: str | None, follow: bool, raw: bool, wanted: Wanted) -> None:
    """Print the logs of TARGET, the folder of a run or else the name of a TrainingJob.

    STEP is one of its steps: hub, partition, island-3, evaluate and so on; islands means all of
    them. Without STEP: all steps. Where there are several, each line says whose it is.
    """
    raw = raw or not sys.stdout.isatty()
    match locate(target, wanted):
        case Run(folder=folder):
            logs.show_run(folder, step, follow=follow, raw=raw)
        case ClusterJob() as job:
            _of_job(job, step, follow=follow, raw=raw)


def _of_job(job: ClusterJob, step: str | None, *, follow: bool, raw: bool) -> None:
    from atoll_cli.cluster import connection, kubectl  # noqa: PLC0415 - takes half a second
    from atoll_cli.cluster import logs as of_pods  # noqa: PLC0415 - see above

    program = kubectl.find_kubectl(job.place, "reading logs")
    shown = of_pods.follow if follow else of_pods.show
    connection.ask(job.place, lambda api: shown(api, program, job.name, step, raw=raw))
