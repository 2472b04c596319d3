"""`atoll status`: how far a run or a job is, or how it ended."""

import json
import time
from typing import Any

import click
from rich.console import Console

from atoll_api.status import TrainingJobStatus
from atoll_cli import live, watching
from atoll_cli.cluster.place import Place, Wanted, find_place
from atoll_cli.options import cluster_options
from atoll_cli.targets import ClusterJob, Run, locate

_EXAMPLES = """\b
Examples:
  atoll status runs/digits
  atoll status digits -n lab --watch
  atoll status -A"""


@click.command("status", short_help="How far a run or a job is, or how it ended.", epilog=_EXAMPLES)
@click.argument("target", required=False)
@cluster_options()
@click.option("-A", "--all-namespaces", is_flag=True, help="Without TARGET: the jobs of all.")
@click.option("--watch", is_flag=True, help="Show it until it ends; Ctrl-C ends only the watching.")
@click.option("--plain", is_flag=True, help="Lines instead of bars; the default off a terminal.")
@click.option("--json", "as_json", is_flag=True, help="The whole status as JSON.")
def command(target: str | None, *, wanted: Wanted, **options: bool) -> int | None:
    """Show the status of TARGET: the folder of a run, or else the name of a TrainingJob.

    Without TARGET: a table of the jobs in a namespace. With --watch the exit code is that of
    `atoll run`, once the job has ended.
    """
    _check(target, options)
    if target is None:
        place = find_place(wanted)
        _list(place.everywhere() if options["all_namespaces"] else place, options)
        return None
    found = locate(target, wanted)
    if options["watch"]:
        return watching.until_ended(Console(), found, plain=options["plain"])
    _show(found, as_json=options["as_json"])
    return None


def _check(target: str | None, options: dict[str, bool]) -> None:
    if target is not None and options["all_namespaces"]:
        raise click.UsageError("--all-namespaces is for the table of all jobs: leave TARGET out")
    if options["watch"] and (target is None or options["as_json"]):
        raise click.UsageError("--watch is for one TARGET, and not for --json")


def _show(target: Run | ClusterJob, *, as_json: bool) -> None:
    status = target.status()
    if as_json:
        print(json.dumps(status.to_document(), indent=2))
        return
    console = Console()
    console.print(live.table(status, live.Clocks(), time.monotonic()))
    for line in (*_held_up(status), *_conditions(status)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _held_up(status: TrainingJobStatus) -> list[str]:
    """What steps wait for, in full: the table has little room for it. One line a reason."""
    steps: dict[str, list[str]] = {}
    for step in live.steps_of(status):
        if step.state == "Pending" and step.message:
            steps.setdefault(step.message, []).append(step.name)
    return [f"… {', '.join(named)}: {why}" for why, named in steps.items()]


def _conditions(status: TrainingJobStatus) -> list[str]:
    marks = {"True": "+", "False": "-", "Unknown": "?"}
    said = [f"{marks[it.status]} {it.type} {it.reason}: {it.message}" for it in status.conditions]
    return said or ["no operator has said anything of it yet: see that Atoll's is running"]


def _list(place: Place, options: dict[str, Any]) -> None:
    from atoll_cli.cluster import connection, jobs, listing  # noqa: PLC0415 - takes half a second

    found = connection.ask(place, lambda api: jobs.read_all(api, place))
    if options["as_json"]:
        print(json.dumps([listing.document(it) for it in found], indent=2))
    elif found:
        Console().print(listing.table(found, time.time(), with_namespace=not place.namespace))
    else:
        where = f"namespace {place.namespace}" if place.namespace else "any namespace"
        print(f"no TrainingJobs in {where} of {place.title}")
