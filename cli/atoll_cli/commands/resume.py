"""`atoll resume`: let a suspended job go on."""

import click

from atoll_cli.cluster.place import Wanted
from atoll_cli.options import cluster_options
from atoll_cli.targets import cluster_job


@click.command("resume", short_help="Let a suspended job go on.")
@click.argument("job")
@cluster_options()
def command(job: str, *, wanted: Wanted) -> None:
    """Let the TrainingJob JOB go on from where `atoll suspend` has stopped it."""
    from atoll_cli.cluster import connection, jobs  # noqa: PLC0415 - takes half a second

    target = cluster_job(job, wanted)
    done = connection.ask(
        target.place, lambda api: jobs.suspend(api, target.place, target.name, wanted=False)
    )
    said = "goes on" if done else "is not suspended"
    print(f"{target.name}: {said}; `atoll status {target.title} --watch` shows how far it is")
