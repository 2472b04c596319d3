"""Does an ensemble of isolated diffusion experts beat one model trained with the same FLOPs?

Four islands, an MLP 64 x 3 each, 2000 steps, scikit-learn's digits; against one such model on
all data at four times the batch. Controls: parts drawn at random, and the most probable expert
alone. Also the regime where the ensemble does not win: width 192, 16 samples an island and step.

    python benchmarks/science/ddm_digits.py [--quick] [--processes 2] [--json FILE]

Runs the pipeline's own roles in one process with artifacts in memory: no hub, no children.
"""

import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs import document, run_job
from lines import Line, at_least, at_most, finish, measured, options, told

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


def job(run: Run) -> dict[str, Any]:
    """The TrainingJob of a run, as a user would write it."""
    strategies = ["Full", "TopK", "Threshold", "Sticky", "Sample"] if run.baseline else ["Full"]
    architecture = {"type": "MLP", "mlp": {"width": run.width}}
    return document(
        f"digits-{run.kind}-{run.seed}",
        seed=run.seed,
        task={"type": "Diffusion", "diffusion": {"architecture": architecture}},
        data={"source": "builtin://digits"},
        partition={"type": run.partition},
        islands={"count": 4},
        training={"steps": run.steps, "batchSizePerIsland": run.batch_size},
        strategy={"type": "ExpertEnsemble"},
        baseline={"enabled": run.baseline},
        evaluation={"strategies": strategies},
    )


def measure(run: Run) -> Numbers:
    """Run one job, and read its report."""
    done = run_job(job(run))
    systems = {system["name"]: system for system in done.findings["systems"]}
    return Numbers(run, systems, done.findings["sampling"]["floor"], done.cpu_seconds)


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


def systems_table(numbers: list[Numbers]) -> str:
    """Every system of every job, in Markdown."""
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
    return "\n".join(out) + "\n"


def _cells(numbers: Numbers, systems: list[str]) -> list[str]:
    found = [numbers.frechet(s) if s in numbers.systems else None for s in systems]
    return ["" if it is None else f"{it['mean']:.3f} ± {it['sd']:.3f}" for it in found]


def main() -> int:
    """Run everything, print the tables; 1 when a target is missed."""
    chosen = options(__doc__, "one seed, 400 steps: a smoke test")
    numbers = measured(measure, runs(quick=chosen.quick), chosen.processes)
    print(systems_table(numbers))
    return finish(summarise(numbers), chosen)


if __name__ == "__main__":
    sys.exit(main())
