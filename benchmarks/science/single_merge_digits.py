"""Is one merge at the end enough, if islands have met now and then?

On scikit-learn's digits, beside averaging after every round.

Eight islands, classes divided by Dirichlet(0.1), an MLP 64-256-256-10, 200 rounds of 5 steps, the
learning rate falling to 5 %. Gossip: in a round an island pulls one uniformly random peer with
probability 0.15 and averages half and half; one merge at the end. Every round: the mean of all after
each round. Controls: no gossip with a shared initialization, and with different ones.

    python benchmarks/science/single_merge_digits.py [--quick] [--processes 2] [--json FILE]

Bytes: those of the snapshots that islands took, and of the last weights, against two models a node
and round. A real run over sockets of the first seed counts them once more, by the kernel.
Zhu et al., arXiv 2507.06542, section 5. See docs/results.md.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import document, run_job
from lines import Line, at_most, finish, mean_at_most, measured, options, told

SEEDS, QUICK_SEEDS = (0, 1, 2, 3), (0,)
ISLANDS, STEPS_PER_ROUND = 8, 5
RATE = 0.15
EVERY_ROUND = {
    "type": "IterativeMerge",
    "iterativeMerge": {
        "topology": {"type": "FullyConnected"},
        "stepsPerRound": STEPS_PER_ROUND,
        "optimizerState": "Keep",
        "evaluations": 0,
    },
}


def gossip(rate: float, initialization: str = "Shared") -> dict[str, Any]:
    """The strategy of a rate; it measures nothing on the way, so that no byte is spent on it."""
    settings = {"peersPerRound": rate, "stepsPerRound": STEPS_PER_ROUND}
    single = {"gossip": settings, "initialization": initialization, "evaluations": 0}
    return {"type": "SingleMerge", "singleMerge": single}


ARMS = {
    "every round": EVERY_ROUND,
    "gossip": gossip(RATE),
    "no gossip": gossip(0.0),
    "no gossip, different init": gossip(0.0, "Independent"),
}


@dataclass(frozen=True)
class Run:
    """One job."""

    arm: str
    seed: int
    rounds: int


@dataclass(frozen=True)
class Numbers:
    """What one job measured."""

    local: float
    """Accuracy of the islands alone at the end, their mean, in percent."""
    merged: float
    """Of the mean of their weights."""
    models_taken: int


def job(run: Run) -> dict[str, Any]:
    """The TrainingJob of a run, as a user would write it."""
    architecture = {"type": "MLP", "mlp": {"width": 256}}
    return document(
        "single-merge",
        seed=run.seed,
        task={
            "type": "Classification",
            "classification": {"architecture": architecture, "normalization": "None"},
        },
        data={"source": "builtin://digits"},
        partition={"type": "Dirichlet", "dirichlet": {"alpha": 0.1}},
        islands={"count": ISLANDS},
        training={
            "steps": run.rounds * STEPS_PER_ROUND,
            "batchSizePerIsland": 32,
            "optimizer": {"learningRate": 2e-3, "schedule": "Linear"},
        },
        strategy=ARMS[run.arm],
    )


def measure(run: Run) -> Numbers:
    """Run one job in memory."""
    merging = run_job(job(run)).findings["merging"]
    last = merging["mergeability"][-1]
    return Numbers(
        local=100 * last["local"]["accuracy"],
        merged=100 * last["merged"]["accuracy"],
        models_taken=sum(it["snapshots"] for it in merging["islands"]),
    )


def share_of_bytes(models: float, rounds: int) -> float:
    """Models moved, of two a node and round, in percent; the last weights are `ISLANDS` more."""
    return 100 * (models + ISLANDS) / (2 * ISLANDS * rounds)


def over_sockets(run: Run) -> float:
    """The same share, by what the kernel counted on the islands' sockets in a real run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.yaml"
        path.write_text(json.dumps(job(run)))  # JSON is YAML
        command = [sys.executable, "-m", "atoll_cli", "run", str(path), "--out", f"{folder}/out"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        report = json.loads((Path(folder) / "out" / "report.json").read_text())
    sent: int = report["run"]["bytesBetweenIslands"]
    model_bytes = 4 * report["findings"]["systems"][0]["parameters"]
    return share_of_bytes(sent / model_bytes, run.rounds)


def summarise(found: dict[Run, Numbers], counted: float) -> list[Line]:
    """The claims, each with its target."""
    by = {arm: [it for run, it in found.items() if run.arm == arm] for arm in ARMS}
    rounds = next(iter(found)).rounds
    gaps = [a.merged - b.merged for a, b in zip(by["every round"], by["gossip"], strict=True)]
    taken = [share_of_bytes(it.models_taken, rounds) for it in by["gossip"]]
    apart = [it.merged for it in by["no gossip, different init"]]
    return [
        at_most("every round less gossip with one merge, each seed", gaps, 6, "points"),
        mean_at_most("every round less gossip with one merge", gaps, 4, "points"),
        at_most("weights moved, of 2 models a node and round", taken, 10, "%"),
        at_most("the same, by the kernel, over sockets", [counted], 10, "%"),
        at_most("control: no gossip, different init: merged", apart, 30, "%"),
        *(told(f"{arm}: merged", [it.merged for it in by[arm]], "%") for arm in ARMS),
        *(told(f"{arm}: islands alone", [it.local for it in by[arm]], "%") for arm in ARMS),
    ]


def main() -> int:
    """Run everything, print the table; 1 when a target is missed."""
    chosen = options(__doc__, "one seed, 40 rounds: a smoke test")
    seeds, rounds = (QUICK_SEEDS, 40) if chosen.quick else (SEEDS, 200)
    runs = [Run(arm, seed, rounds) for arm in ARMS for seed in seeds]
    found = dict(zip(runs, measured(measure, runs, chosen.processes), strict=True))
    counted = over_sockets(Run("gossip", seeds[0], rounds))
    return finish(summarise(found, counted), chosen)


if __name__ == "__main__":
    sys.exit(main())
