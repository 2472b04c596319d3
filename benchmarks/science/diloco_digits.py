"""What does an outer optimizer add to averaging? DiLoCo on digits, flow matching.

Four islands, 1000 steps at 64 samples each, an exchange every 50 steps. DiLoCo: Nesterov momentum
(0.7, 0.9) on the mean change. Averaging: the mean itself. Beside one model with the four batches
together (synchronous). Parts at random, and by k-means.
Scored is the loss on the holdout.

    python benchmarks/science/diloco_digits.py [--quick] [--processes 2] [--json FILE]

Douillard et al., arXiv 2311.08105, algorithm 1. See docs/results.md.
"""

import sys
from dataclasses import dataclass
from typing import Any

from jobs import document, run_job
from lines import Line, at_most, finish, measured, options, told

SEEDS, QUICK_SEEDS = (0, 1), (0,)
EVERY = 50
MIXES: dict[str, dict[str, Any]] = {
    "DiLoCo": {"type": "OuterNesterov"},
    "averaging": {"type": "Average"},
}
DIVISIONS = {"random": "Random", "k-means": "FeatureClusters"}


@dataclass(frozen=True)
class Run:
    """One job."""

    mix: str
    division: str
    seed: int
    steps: int


@dataclass(frozen=True)
class Numbers:
    """Losses on the holdout."""

    merged: float
    together: float
    """Of one model with all batches together."""


def measure(run: Run) -> Numbers:
    """Run one job in memory."""
    merging = {
        "topology": {"type": "FullyConnected"},
        "stepsPerRound": EVERY,
        "optimizerState": "Keep",
        "evaluations": 0,
        "mix": MIXES[run.mix],
    }
    job = document(
        "diloco",
        seed=run.seed,
        task={"type": "Diffusion"},
        data={"source": "builtin://digits"},
        partition={"type": DIVISIONS[run.division]},
        islands={"count": 4},
        training={"steps": run.steps, "batchSizePerIsland": 64},
        strategy={"type": "IterativeMerge", "iterativeMerge": merging},
        baseline={"enabled": True},
        evaluation={"samples": 16, "seeds": 1, "samplerSteps": 1},
    )
    done = run_job(job)
    losses = (done.system(name)["holdoutLoss"] for name in ("Merged", "Baseline"))
    return Numbers(*losses)


def summarise(found: dict[Run, Numbers]) -> list[Line]:
    """The claims, each with its target."""

    def of(mix: str, division: str) -> list[Numbers]:
        return [it for run, it in found.items() if (run.mix, run.division) == (mix, division)]

    lines = []
    for division in DIVISIONS:
        outer, mean = (of(mix, division) for mix in MIXES)
        ratio = [a.merged / b.merged for a, b in zip(outer, mean, strict=True)]
        lines.append(at_most(f"{division} parts: loss of DiLoCo / of averaging", ratio, 1.0))
    for division in DIVISIONS:
        for mix in MIXES:
            losses = [it.merged for it in of(mix, division)]
            lines.append(told(f"{division} parts: loss of {mix}", losses))
    together = [it.together for it in of("DiLoCo", "random")]
    return [*lines, told("loss of one model, all batches together", together)]


def main() -> int:
    """Run everything, print the table; 1 when a target is missed."""
    chosen = options(__doc__, "one seed, 200 steps: a smoke test")
    seeds, steps = (QUICK_SEEDS, 200) if chosen.quick else (SEEDS, 1000)
    runs = [Run(mix, part, seed, steps) for mix in MIXES for part in DIVISIONS for seed in seeds]
    found = dict(zip(runs, measured(measure, runs, chosen.processes), strict=True))
    return finish(summarise(found), chosen)


if __name__ == "__main__":
    sys.exit(main())
