"""`atoll report`: the numbers of what has finished, and where its page is."""

import json
from pathlib import Path

import click
from rich.console import Console

from atoll_cli import runs, summary
from atoll_cli.cluster.place import Wanted
from atoll_cli.options import cluster_options
from atoll_cli.targets import ClusterJob, locate

_EXAMPLES = """\b
Examples:
  atoll report runs/digits
  atoll report digits -n lab -o report"""


@click.command(
    "report", short_help="What came of a run or a job: numbers, page, pictures.", epilog=_EXAMPLES
)
@click.argument("target")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of a TrainingJob: the folder for its report.  [JOB-report]",
)
@click.option("--json", "as_json", is_flag=True, help="Every number as JSON.")
@cluster_options()
def command(target: str, *, output: Path | None, as_json: bool, wanted: Wanted) -> None:
    """Show how TARGET ended: a table, and the path of the page with the pictures.

    TARGET is the folder of a run, or else the name of a TrainingJob, whose report is fetched from
    its hub.
    """
    found = locate(target, wanted)
    folder = _fetched(found, output) if isinstance(found, ClusterJob) else found.folder
    if output is not None and not isinstance(found, ClusterJob):
        raise click.UsageError(f"--output is for a TrainingJob: that of a run is in {folder}")
    if as_json:
        print(json.dumps(runs.read_report(folder), indent=2))
    else:
        summary.show(Console(), folder)


def _fetched(job: ClusterJob, output: Path | None) -> Path:
    """The folder that has the report now."""
    from atoll_cli.pages import fetch_page  # noqa: PLC0415 - torch takes seconds

    folder = output or Path(f"{job.name}-report")
    fetch_page(job, folder)
    return folder
