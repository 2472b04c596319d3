"""`atoll report`: the numbers of what has finished, and where its page is; or of two, compared."""

import json
import time
from pathlib import Path

import click
from rich.console import Console

from atoll_api.status import TrainingJobStatus
from atoll_cli import runs, summary
from atoll_cli.cluster.place import Wanted
from atoll_cli.options import cluster_options
from atoll_cli.targets import ClusterJob, Run, locate
from atoll_cli.timelines import put_into_page, show_timeline

_EXAMPLES = """\b
Examples:
  atoll report runs/digits
  atoll report runs/digits runs/other -o both
  atoll report digits -n lab -o report"""


@click.command(
    "report",
    short_help="What came of a run or a job, or of two: numbers, page, pictures.",
    epilog=_EXAMPLES,
)
@click.argument("target")
@click.argument("other", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of a TrainingJob: the folder for its report.  [JOB-report]  Of two: for their comparison."
    "  [TARGET-and-OTHER]",
)
@click.option("--json", "as_json", is_flag=True, help="Every number as JSON.")
@cluster_options()
def command(
    target: str, other: str | None, *, output: Path | None, as_json: bool, wanted: Wanted
) -> None:
    """Show how TARGET ended: a table, and the path of the page with the pictures.

    TARGET is the folder of a run, or else the name of a TrainingJob, whose report is fetched from
    its hub. With OTHER, both are compared: what they were told, what came of it, curves, and which
    artifacts are equal.
    """
    found = locate(target, wanted)
    if other is not None:
        _compare(found, locate(other, wanted), output, as_json=as_json)
        return
    folder = _folder(found, output)
    if as_json:
        print(json.dumps(runs.read_report(folder), indent=2))
        return
    console = Console()
    runs.read_report(folder)
    status = _status(found)
    put_into_page(console, folder, status, time.time())
    summary.show(console, folder)
    show_timeline(console, status, time.time())


def _folder(found: Run | ClusterJob, output: Path | None) -> Path:
    """The folder that has the report now."""
    if isinstance(found, ClusterJob):
        from atoll_cli.comparing import fetched  # noqa: PLC0415 - torch takes seconds

        return fetched(found, output or Path(f"{found.name}-report"))
    if output is not None:
        told = f"--output is for a TrainingJob, or for two: that of a run is in {found.folder}"
        raise click.UsageError(told)
    return found.folder


def _status(found: Run | ClusterJob) -> TrainingJobStatus | None:
    """None for the folder of a report that was fetched: it is no run's."""
    if isinstance(found, Run) and not (found.folder / "job.json").is_file():
        return None
    return found.status()


def _compare(
    first: Run | ClusterJob, second: Run | ClusterJob, output: Path | None, *, as_json: bool
) -> None:
    from atoll_cli import comparing  # noqa: PLC0415 - only two need it
    from atoll_worker.report.comparison import compare  # noqa: PLC0415 - see above

    a, b = comparing.read_side(first), comparing.read_side(second)
    found = compare(a, b)
    if as_json:
        print(json.dumps(found.to_document(), indent=2))
        return
    folder = output or Path(f"{_plain(first)}-and-{_plain(second)}")
    page = comparing.write(found, a, b, folder)
    console = Console()
    comparing.show(console, found)
    console.print(f"\n{page.name}  {page.resolve()}", soft_wrap=True)


def _plain(target: Run | ClusterJob) -> str:
    """A name for a file."""
    return target.name if isinstance(target, ClusterJob) else target.folder.resolve().name
