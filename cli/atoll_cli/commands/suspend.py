"""`atoll suspend`: stop a job on a cluster, with its work saved."""

import click

from atoll_cli.cluster.place import Wanted
from atoll_cli.options import cluster_options
from atoll_cli.targets import cluster_job


@click.command("suspend", short_help="Stop a job on a cluster, with its work saved.")
@click.argument("job")
@cluster_options()
def command(job: str, *, wanted: Wanted) -> None:
    """Stop the TrainingJob JOB with its work saved; `atoll resume` lets it go on from there.

    Its processes have 30 seconds to save what they need, and give back what they held. Artifacts
    stay where their storage does.
    """
    from atoll_cli.cluster import connection, jobs  # noqa: PLC0415 - takes half a second

    target = cluster_job(job, wanted)
    done = connection.ask(
        target.place, lambda api: jobs.suspend(api, target.place, target.name, wanted=True)
    )
    said = "stops; its work is saved" if done else "is suspended already"
    print(f"{target.name}: {said}; `atoll resume {target.title}` lets it go on")
