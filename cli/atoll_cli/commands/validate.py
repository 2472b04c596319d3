"""`atoll validate`: every problem of a job, or the job with its defaults."""

import sys
from pathlib import Path

import click

from atoll_api.problems import warnings
from atoll_cli.documents import read_job, to_yaml


@click.command("validate", short_help="Every problem of a job's file, or its defaults.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--show-defaults", is_flag=True, help="Print the job with every default filled in.")
def command(file: Path, *, show_defaults: bool) -> None:
    """Check the TrainingJob in FILE.

    Prints all problems at once, each with its path, the accepted values and a hint, and ends
    with exit code 64; says OK and ends with 0 when there are none.
    """
    job = read_job(file)
    for warning in warnings(job.spec):
        print(f"warning: {warning}", file=sys.stderr)
    if show_defaults:
        print(to_yaml(job.to_document()), end="")
    else:
        print(f"{file}: OK: {job.metadata.name}, {job.spec.islands.count} islands")
