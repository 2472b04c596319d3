"""`atoll delete`: a job on a cluster, and all that is its own."""

import sys

import click

from atoll_cli.cluster.place import Wanted
from atoll_cli.errors import CliError, ExitCode
from atoll_cli.options import cluster_options
from atoll_cli.targets import ClusterJob, cluster_job


@click.command("delete", short_help="Delete a job on a cluster, and what it keeps there.")
@click.argument("job")
@cluster_options()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(job: str, *, wanted: Wanted, yes: bool) -> None:
    """Delete the TrainingJob JOB, its processes, and the artifacts that are on the cluster.

    Says what goes with it, and asks. Artifacts in a bucket stay there.
    """
    from atoll_cli.cluster import connection, deletion, jobs  # noqa: PLC0415 - half a second

    target = cluster_job(job, wanted)
    found = connection.ask(target.place, lambda api: jobs.read(api, target.place, target.name))
    for line in deletion.what_goes(found):
        print(line)
    if not yes and not _agreed(target):
        print(f"{target.name}: nothing was deleted")
        return
    connection.ask(target.place, lambda api: jobs.delete(api, found))
    print(f"{target.name}: deleted; its pods end within half a minute")


def _agreed(target: ClusterJob) -> bool:
    if not sys.stdin.isatty():
        raise CliError("nobody can be asked here: say --yes to delete it", ExitCode.USAGE)
    return click.confirm(
        f"Delete {target.name} in {target.place.namespace} of {target.place.title}?"
    )
