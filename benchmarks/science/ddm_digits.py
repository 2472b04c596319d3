"""Does an ensemble of isolated diffusion experts beat one model trained with the same FLOPs?

Four islands, an MLP 64 x 3 each, 2000 steps, scikit-learn's digits; against one such model on
all data at four times the batch. Controls: parts drawn at random, and the most probable expert
alone. Also the regime where the ensemble does not win: width 192, 16 samples an island and step.

    python benchmarks/science/ddm_digits.py [--quick] [--processes 2] [--json FILE]

Runs the pipeline's own roles in one process with artifacts in memory: no hub, no children.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from atoll_api.spec import TrainingJob
from atoll_api.work_order import JobIdentity
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.work_orders import Place, work_order
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.ports import Context, ProgressReport

SEEDS, QUICK_SEEDS = (0, 1, 2, 3), (0,)
STEPS, QUICK_STEPS = 2000, 400


@dataclass(frozen=True)
class Run:
    """One job to run."""

    kind: str
    seed: int
    steps: int
    width: int = 64
    batch_size: int = 64
    partition: str = "FeatureClusters"
    baseline: bool = True


@dataclass(frozen=True)
class Numbers:
    """What one job measured."""

    run: Run
    systems: dict[str, dict[str, Any]]
    floor: float
    cpu_seconds: float

    def frechet(self, system: str, to: str = "frechetTrain") -> dict[str, float]:
        """Mean and sd of a Frechet distance."""
        found: dict[str, float] = self.systems[system]["samples"][to]
        return found


@dataclass(frozen=True)
class Line:
    """One measured value and its target."""

    name: str
    value: float
    unit: str
    target: str
    met: bool | None
    runs: list[float]


def document(run: Run) -> dict[str, Any]:
    """The TrainingJob of a run, as a user would write it."""
    strategies = ["Full", "TopK", "Threshold", "Sticky", "Sample"] if run.baseline else ["Full"]
    return {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": f"digits-{run.kind}-{run.seed}"},
        "spec": {
            "seed": run.seed,
            "task": {
                "type": "Diffusion",
                "diffusion": {"architecture": {"type": "MLP", "mlp": {"width": run.width}}},
            },
            "data": {"source": "builtin://digits"},
            "partition": {"type": run.partition},
            "islands": {"count": 4},
            "training": {"steps": run.steps, "batchSizePerIsland": run.batch_size},
            "strategy": {"type": "ExpertEnsemble"},
            "baseline": {"enabled": run.baseline},
            "evaluation": {"strategies": strategies},
        },
    }


def measure(run: Run) -> Numbers:
    """Run one job through its roles, in the pipeline's order, and read its report."""
    job = TrainingJob.from_document(document(run))
    artifacts = MemoryArtifacts()
    reports: dict[str, ProgressReport] = {}
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(hub="127.0.0.1:1", report_folder=folder)
        for step in pipeline(job.spec):
            order = work_order(JobIdentity(name=job.metadata.name, uid="0"), job.spec, step, place)
            context = Context(artifacts, MemoryProgress(step.name, reports), MemoryStop())
            role(step.role)(order, context)
        report = json.loads((Path(folder) / "report.json").read_text())
    findings = report["findings"]
    return Numbers(
        run=run,
        systems={system["name"]: system for system in findings["systems"]},
        floor=findings["sampling"]["floor"],
        cpu_seconds=time.process_time() - start,
    )


def role(name: str) -> Callable[[Any, Any], None]:
    """The function of a role."""
    run: Callable[[Any, Any], None] = import_module(f"atoll_worker.roles.{name}").run
    return run


def runs(*, quick: bool) -> list[Run]:
    """All jobs of the benchmark."""
    seeds, steps = (QUICK_SEEDS, QUICK_STEPS) if quick else (SEEDS, STEPS)
    job = partial(Run, steps=steps)
    clusters = [job("clusters", seed) for seed in seeds]
    random = [job("random", seed, partition="Random", baseline=False) for seed in seeds]
    wide = [job("wide", seed, width=192, batch_size=16) for seed in seeds[:2]]
    return [*clusters, *random, *wide]


def summarise(numbers: list[Numbers]) -> list[Line]:
    """The claims of the product, each with its target."""
    by = {
        kind: [n for n in numbers if n.run.kind == kind] for kind in ("clusters", "random", "wide")
    }
    main, random, wide = by["clusters"], by["random"], by["wide"]
    full = [n.frechet("Full")["mean"] for n in main]
    baseline = [n.frechet("Baseline")["mean"] for n in main]
    held = [n.frechet("Full", "frechetHoldout")["mean"] for n in main]
    held_baseline = [n.frechet("Baseline", "frechetHoldout")["mean"] for n in main]
    gap = [gap_in_sd(n) for n in main]
    correlated = [n.systems["Full"]["samples"]["sameNoiseCorrelation"] for n in main]
    shuffled = [n.systems["Full"]["samples"]["shuffledCorrelation"] for n in main]
    scattered = [n.frechet("Full")["mean"] for n in random]
    top_1 = [n.frechet("TopK")["mean"] for n in main]
    wide_ratio = [n.frechet("Full")["mean"] / n.frechet("Baseline")["mean"] for n in wide]
    return [
        at_most("FD(Full) / FD(baseline), to training", ratios(full, baseline), 0.85),
        at_most("FD(Full) / FD(baseline), to holdout", ratios(held, held_baseline), 1.0),
        at_least("gap, in sd over sampling seeds", gap, 3.0),
        at_least("control: FD(random parts, Full) / FD(Full)", ratios(scattered, full), 1.4),
        at_least("control: FD(Top1, unconditional) / FD(Full)", ratios(top_1, full), 1.4),
        at_least("same-noise correlation of Full and baseline", correlated, 0.9),
        told("the same, pairs shuffled", shuffled),
        told("width 192, 16 an island: FD(Full) / FD(baseline)", wide_ratio),
        told("width 192, 16 an island: gap, in sd (below 3: no win)", [gap_in_sd(n) for n in wide]),
        told("holdout loss of Full / of baseline", [loss_ratio(n) for n in main]),
        told("width 192: holdout loss of Full / of baseline", [loss_ratio(n) for n in wide]),
        told("CPU seconds for a job of 4 islands", [n.cpu_seconds for n in main], "s"),
    ]


def gap_in_sd(numbers: Numbers) -> float:
    """How many sampling standard deviations the baseline is behind the ensemble."""
    full, baseline = numbers.frechet("Full"), numbers.frechet("Baseline")
    return (baseline["mean"] - full["mean"]) / max(full["sd"], baseline["sd"])


def loss_ratio(numbers: Numbers) -> float:
    """The velocity's error on the holdout: the ensemble's over the baseline's."""
    full, baseline = (numbers.systems[name]["holdoutLoss"] for name in ("Full", "Baseline"))
    ratio: float = full / baseline
    return ratio


def ratios(upper: list[float], lower: list[float]) -> list[float]:
    """Run by run."""
    return [a / b for a, b in zip(upper, lower, strict=True)]


def at_most(name: str, values: list[float], limit: float) -> Line:
    """Every run must be at most the limit."""
    return Line(name, statistics.median(values), "1", f"<= {limit}", max(values) <= limit, values)


def at_least(name: str, values: list[float], limit: float) -> Line:
    """Every run must be at least the limit."""
    return Line(name, statistics.median(values), "1", f">= {limit}", min(values) >= limit, values)


def told(name: str, values: list[float], unit: str = "1") -> Line:
    """Reported without a target."""
    return Line(name, statistics.median(values), unit, "-", None, values)


def table(numbers: list[Numbers], lines: list[Line]) -> str:
    """Both tables in Markdown."""
    systems = ["Baseline", "Full", "TopK", "Threshold", "Sticky", "Sample"]
    title = "Frechet distance to the training samples, mean ± sd over sampling seeds"
    out = [
        f"{title} (floor: {numbers[0].floor:.3f})\n",
        "| job | seed | " + " | ".join(systems) + " |",
        "|" + "---|" * (len(systems) + 2),
    ]
    out += [
        f"| {n.run.kind} | {n.run.seed} | " + " | ".join(_cells(n, systems)) + " |" for n in numbers
    ]
    out += ["", "| what | median | all runs | target | met |", "|---|---|---|---|---|"]
    for line in lines:
        met = {True: "yes", False: "**no**", None: ""}[line.met]
        values = " ".join(f"{value:.3g}" for value in line.runs)
        out.append(f"| {line.name} | {line.value:.3g} | {values} | {line.target} | {met} |")
    return "\n".join(out)


def _cells(numbers: Numbers, systems: list[str]) -> list[str]:
    found = [numbers.frechet(s) if s in numbers.systems else None for s in systems]
    return ["" if it is None else f"{it['mean']:.3f} ± {it['sd']:.3f}" for it in found]


def main() -> int:
    """Run everything, print the tables; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 400 steps: a smoke test")
    parser.add_argument("--processes", type=int, default=1, help="jobs at once")
    parser.add_argument("--json", type=Path, help="write the lines here")
    arguments = parser.parse_args()
    jobs = runs(quick=arguments.quick)
    numbers = []
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for found in pool.imap(measure, jobs):
            print(
                f"{found.run.kind} seed {found.run.seed}: {found.cpu_seconds:.0f} CPU s",
                file=sys.stderr,
            )
            numbers.append(found)
    lines = summarise(numbers)
    print(table(numbers, lines))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")
    return int(any(line.met is False for line in lines) and not arguments.quick)


if __name__ == "__main__":
    sys.exit(main())
