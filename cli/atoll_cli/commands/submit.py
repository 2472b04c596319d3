"""`atoll submit`: one job, to a cluster."""

import sys
from pathlib import Path

import click
from rich.console import Console

from atoll_api.problems import parse_job, warnings
from atoll_cli import watching
from atoll_cli.cluster.place import Wanted, find_place
from atoll_cli.documents import read_document
from atoll_cli.options import cluster_options
from atoll_cli.targets import ClusterJob

_EXAMPLES = """\b
Examples:
  atoll submit examples/digits.yaml -n lab --watch
  atoll submit examples/digits.yaml --dry-run"""


@click.command(
    "submit", short_help="Make a TrainingJob on a cluster, from its file.", epilog=_EXAMPLES
)
@click.argument("file", type=click.Path(path_type=Path))
@cluster_options()
@click.option("--watch", is_flag=True, help="Show it until it ends; Ctrl-C ends only the watching.")
@click.option("--plain", is_flag=True, help="Lines instead of bars; the default off a terminal.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
def command(file: Path, *, wanted: Wanted, watch: bool, plain: bool, dry_run: bool) -> int | None:
    """Make the TrainingJob in FILE on a cluster, where Atoll's operator runs it.

    Checks it first, as `atoll validate` does. Of a job that is there already, suspend, runPolicy,
    labels and annotations are changed to what FILE says, and quorum may fall; all else stays what
    it was, and another job of that name is refused.
    """
    document = read_document(file)
    job = parse_job(document)
    from atoll_cli.cluster import connection, submission  # noqa: PLC0415 - takes half a second

    submission.check_data(job)
    for warning in warnings(job.spec):
        print(f"warning: {warning}", file=sys.stderr)
    wished = submission.Submission(document, job)
    place = submission.place_of(wished, find_place(wanted), namespace_given=bool(wanted.namespace))
    done = connection.ask(place, lambda api: submission.submit(api, place, wished, dry_run=dry_run))
    for line in submission.sentences(done, wished.name, place, dry_run=dry_run):
        print(line)
    if watch and not dry_run:
        target = ClusterJob(place, wished.name)
        return watching.until_ended(Console(), target, plain=plain)
    return None
