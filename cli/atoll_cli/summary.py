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
    """One row a system: how close its samples are, or how well it foretells, and its cost."""
    measured = list(dict.fromkeys(k for it in findings["systems"] for k in it.get("measures", {})))
    sampling = findings.get("sampling")
    headings = [
        *(("FD to train", "FD to holdout", "of baseline") if sampling else ()),
        "experts",
        "holdout loss",
        *(_words(name) for name in measured),
    ]
    table = Table(box=None, pad_edge=False)
    table.add_column("system")
    for heading in headings:
        table.add_column(heading, justify="right")
    for system in findings["systems"]:
        numbers = [f"{system['measures'][name]:.3f}" for name in measured]
        table.add_row(
            system["name"], *(_distances(system) if sampling else ()), *_costs(system), *numbers
        )
    if sampling:
        table.add_row("[dim]real holdout[/]", f"[dim]{sampling['floor']:.3f}[/]")
    return table


def _distances(system: dict[str, Any]) -> list[str]:
    samples = system.get("samples") or {}
    ratio = system.get("frechetRatio")
    return [
        _spread(samples.get("frechetTrain")),
        _spread(samples.get("frechetHoldout")),
        f"{ratio:.2f} x" if ratio is not None else "",
    ]


def _costs(system: dict[str, Any]) -> list[str]:
    return [f"{system['meanActiveExperts']:.2f}", f"{system['holdoutLoss']:.4f}"]


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _spread(spread: dict[str, float] | None) -> str:
    return f"{spread['mean']:.3f} ± {spread['sd']:.3f}" if spread else "-"
