"""What does it take to average networks that were trained apart? DIMAT's first merge, on digits.

Five islands train an MLP 64-64-64-10 on a fifth of scikit-learn's digits each, 400 steps alone, and
then merge once, over a full graph and over a ring. Begun apart: averaged as they are, and with their
units matched first (each takes over the order of the first island; or each merges its neighbours
into its own order, as DIMAT does). Begun alike: averaged as they are, which is the control: it needs
no matching. Also with two classes an island, where matching does not help. Scored is the accuracy
of the islands after the merge, their mean.

    python benchmarks/science/dimat_digits.py [--quick] [--processes 2] [--json FILE]

DIMAT: Saadati et al., arXiv 2404.08079, sections 3 and 5. See docs/results.md.
"""

import sys
from dataclasses import dataclass
from typing import Any

from jobs import document, run_job
from lines import Line, at_least, finish, measured, options, told

SEEDS, QUICK_SEEDS = (0, 1, 2, 3), (0,)
GRAPHS = {"full": "FullyConnected", "ring": "Ring"}
APART = {"initialization": "Independent"}
ARMS: dict[str, dict[str, Any]] = {
    "plain": {**APART, "align": {"when": "Never"}},
    "aligned": {**APART, "align": {"when": "FirstMerge"}},
    "aligned, repaired": {**APART, "align": {"when": "FirstMerge", "repair": True}},
    "own basis": {**APART, "align": {"when": "EveryRound"}},
    "weights matched": {**APART, "align": {"type": "WeightMatching", "when": "FirstMerge"}},
    "shared init": {"initialization": "Shared"},
}
DIVISIONS = {"IID": "Random", "two classes each": "ByClass"}


@dataclass(frozen=True)
class Run:
    """One job."""

    division: str
    graph: str
    arm: str
    seed: int
    steps: int


def measure(run: Run) -> float:
    """Accuracy of the islands after the merge, their mean, in percent."""
    merging = {
        "topology": {"type": GRAPHS[run.graph]},
        "firstRoundSteps": run.steps,
        "stepsPerRound": run.steps,
        "evaluations": 0,
        **ARMS[run.arm],
    }
    classifier = {"architecture": {"type": "MLP", "mlp": {"width": 64}}, "normalization": "None"}
    job = document(
        "dimat",
        seed=run.seed,
        task={"type": "Classification", "classification": classifier},
        data={"source": "builtin://digits"},
        partition={"type": DIVISIONS[run.division]},
        islands={"count": 5},
        training={"steps": run.steps, "batchSizePerIsland": 32},
        strategy={"type": "IterativeMerge", "iterativeMerge": merging},
    )
    last = run_job(job).findings["merging"]["mergeability"][-1]
    accuracy: float = last["local"]["accuracy"]
    return 100 * accuracy


def runs(*, quick: bool) -> list[Run]:
    """All jobs."""
    seeds, steps = (QUICK_SEEDS, 100) if quick else (SEEDS, 400)
    even = [Run("IID", g, arm, s, steps) for g in GRAPHS for arm in ARMS for s in seeds]
    arms = ("plain", "aligned", "shared init")
    apart = [
        Run("two classes each", g, arm, s, steps) for g in GRAPHS for arm in arms for s in seeds[:2]
    ]
    return even + apart


def summarise(found: dict[Run, float]) -> list[Line]:
    """The claims, each with its target."""

    def of(division: str, graph: str, arm: str) -> list[float]:
        wanted = (division, graph, arm)
        return [it for run, it in found.items() if (run.division, run.graph, run.arm) == wanted]

    lines = []
    for graph in GRAPHS:
        plain, aligned, shared = (
            of("IID", graph, it) for it in ("plain", "aligned", "shared init")
        )
        gained = [a - b for a, b in zip(aligned, plain, strict=True)]
        spared = [a - b for a, b in zip(shared, aligned, strict=True)]
        lines += [
            at_least(f"IID, {graph}: aligned less plain", gained, 10, "points"),
            at_least(f"control: IID, {graph}: shared init less aligned", spared, 0, "points"),
        ]
        lines += [told(f"IID, {graph}: {arm}", of("IID", graph, arm), "%") for arm in ARMS]
    for graph in GRAPHS:
        for arm in ("plain", "aligned", "shared init"):
            values = of("two classes each", graph, arm)
            lines.append(told(f"two classes each, {graph}: {arm}", values, "%"))
    return lines


def main() -> int:
    """Run everything, print the table; 1 when a target is missed."""
    chosen = options(__doc__, "one seed, 100 steps: a smoke test")
    jobs = runs(quick=chosen.quick)
    found = dict(zip(jobs, measured(measure, jobs, chosen.processes), strict=True))
    return finish(summarise(found), chosen)


if __name__ == "__main__":
    sys.exit(main())
