"""`atoll top`: the islands of a run or a job, live."""

import click
from rich.console import Console

from atoll_cli.cluster.place import Wanted
from atoll_cli.options import cluster_options
from atoll_cli.targets import locate
from atoll_cli.top.going import find, only_one

_EXAMPLES = """\b
Examples:
  atoll top
  atoll top runs/digits --every 5
  atoll top digits -n lab --once"""


@click.command("top", short_help="The islands of a run or a job, live.", epilog=_EXAMPLES)
@click.argument("target", required=False)
@cluster_options()
@click.option(
    "--every",
    "every_seconds",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Print it once; the default off a terminal.")
def command(target: str | None, *, wanted: Wanted, every_seconds: float, once: bool) -> int | None:
    """Show the steps of TARGET, the folder of a run or else the name of a TrainingJob, as they go.

    Without TARGET: the only run in runs/, or TrainingJob of the namespace, that is going. Where
    there is no room for all steps, the worst are shown. q or Ctrl-C ends the looking, and nothing
    else.
    """
    from atoll_cli.top import live_screen  # noqa: PLC0415 - reads keys, which not all systems have

    found = locate(target, wanted) if target is not None else only_one(find(wanted))
    console = Console()
    if once or not console.is_terminal:
        live_screen.once(console, found)
        return None
    return live_screen.until_seen(console, found, every_seconds)
