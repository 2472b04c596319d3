"""`atoll status`: how far a run is, or how it ended."""

import json
import time
from pathlib import Path

import click
from rich.console import Console

from atoll_cli import live, runs


@click.command("status")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The whole status as JSON.")
def command(folder: Path, *, as_json: bool) -> None:
    """Show the status of the run in FOLDER."""
    status = runs.read_status(folder)
    if as_json:
        print(json.dumps(status.to_document(), indent=2))
        return
    console = Console()
    console.print(live.table(status, live.Clocks(), time.monotonic()))
    for condition in status.conditions:
        mark = {"True": "+", "False": "-", "Unknown": "?"}[condition.status]
        console.print(
            f"{mark} {condition.type} {condition.reason}: {condition.message}", markup=False
        )
