"""What a finished run says of itself on the screen."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from atoll_cli import runs


def show(console: Console, folder: Path) -> None:
    """Print the verdict, a line a system, and where the pictures are.

    Raises:
        CliError: there is no report.
    """
    report = runs.read_report(folder)
    findings = report["findings"]
    console.print()
    console.print(systems_table(findings))
    console.print(findings["verdict"]["sentence"], style="bold")
    for note in findings["verdict"]["notes"]:
        console.print(f"  {note}", style="dim")
    between = report["run"].get("bytesBetweenIslands")
    unknown = "not measured, or an island was lost before it had counted"
    counted = unknown if between is None else f"{between} bytes"
    console.print(f"Between islands while training: {counted}.")
    for name in ("report.html", "samples.png"):
        if (folder / name).exists():
            console.print(f"{name:<12} {folder.resolve() / name}", soft_wrap=True)


def systems_table(findings: dict[str, Any]) -> Table:
    """One row a system: how close its samples are, and what they cost."""
    table = Table(box=None, pad_edge=False)
    table.add_column("system")
    for heading in ("FD to train", "FD to holdout", "of baseline", "experts", "holdout loss"):
        table.add_column(heading, justify="right")
    for system in findings["systems"]:
        table.add_row(*_row(system))
    sampling = findings.get("sampling")
    if sampling:
        table.add_row("[dim]real holdout[/]", f"[dim]{sampling['floor']:.3f}[/]")
    return table


def _row(system: dict[str, Any]) -> list[str]:
    samples = system.get("samples") or {}
    ratio = system.get("frechetRatio")
    return [
        system["name"],
        _spread(samples.get("frechetTrain")),
        _spread(samples.get("frechetHoldout")),
        f"{ratio:.2f} x" if ratio is not None else "",
        f"{system['meanActiveExperts']:.2f}",
        f"{system['holdoutLoss']:.4f}",
    ]


def _spread(spread: dict[str, float] | None) -> str:
    return f"{spread['mean']:.3f} ± {spread['sd']:.3f}" if spread else "-"
