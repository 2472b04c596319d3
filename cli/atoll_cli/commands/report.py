"""`atoll report`: the numbers of a finished run, and where its page is."""

import json
from pathlib import Path

import click
from rich.console import Console

from atoll_cli import runs, summary


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Every number as JSON.")
def command(folder: Path, *, as_json: bool) -> None:
    """Show how the run in FOLDER ended: a table, and the path of the page with the pictures."""
    if as_json:
        print(json.dumps(runs.read_report(folder), indent=2))
    else:
        summary.show(Console(), folder)
