"""Does an ensemble of language experts, each trained on its own part, beat one dense model?

c-BTM (Gururangan et al., arXiv 2303.14177) on the text that ships with Python: a seed on all data,
then four experts on tf-idf clusters, against one model that goes on from the same seed with four
times the batch, so with equal tokens. Each text of the holdout is routed by its first 64 bytes and
scored on the rest. Controls: experts on random parts, and the mean of the experts' weights. With
--long also the regime where centroids do not win: three times the parameters, trained until each
expert has seen its part two and a half times.

    python benchmarks/science/cbtm_stdlib.py [--quick] [--long] [--processes 2] [--json FILE]

Runs the pipeline's own roles in one process with artifacts in memory: no hub, no children.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from atoll_api import names
from atoll_api.spec import TrainingJob, TrainingJobSpec
from atoll_api.work_order import JobIdentity
from atoll_operator.plan.model import Step
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.work_orders import Place, work_order
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryProgress, MemoryStop
from atoll_worker.ports import Context, ProgressReport

SEEDS, QUICK_SEEDS = (0, 1), (0,)
CONTEXT, PREFIX, TEMPERATURE = 128, 64, 0.1
CENTROID = {"type": "Centroid", "centroid": {"prefix": PREFIX, "temperature": TEMPERATURE}}
RUNNING = {"type": "Likelihood", "likelihood": {"prefix": PREFIX}}
BAYES = {"type": "Likelihood", "likelihood": {"prefix": PREFIX, "running": False}}
ROUTERS: Mapping[str, dict[str, Any]] = {
    "T = 0.1": CENTROID,
    "T = 0.02": {"type": "Centroid", "centroid": {"prefix": PREFIX, "temperature": 0.02}},
    "T = 0.5": {"type": "Centroid", "centroid": {"prefix": PREFIX, "temperature": 0.5}},
    "Bayes": BAYES,
    "Bayes, running": RUNNING,
}
"""Each scores the same experts."""


@dataclass(frozen=True)
class Run:
    """One seed, and what trains for how long."""

    seed: int
    seed_steps: int = 100
    steps: int = 200
    width: int = 32
    learning_rate: float = 1e-3
    kind: str = "short"


@dataclass(frozen=True)
class Numbers:
    """What one seed measured: bits per byte by (division, router, system)."""

    run: Run
    bits: dict[tuple[str, str, str], float]
    agreement: float
    cpu_seconds: float


@dataclass(frozen=True)
class Line:
    """One measured value and its target."""

    name: str
    value: float
    unit: str
    target: str
    met: bool | None
    runs: list[float]


def runs(*, quick: bool, long: bool) -> list[Run]:
    """All jobs of the benchmark."""
    if quick:
        return [Run(seed, seed_steps=20, steps=40) for seed in QUICK_SEEDS]
    longer = [Run(seed, 200, 400, width=64, learning_rate=2e-3, kind="long") for seed in SEEDS]
    return [*map(Run, SEEDS), *(longer if long else ())]


def spec_of(run: Run, partition: str, router: Mapping[str, Any]) -> TrainingJobSpec:
    """The TrainingJob of a run, as a user would write it."""
    document = {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": f"stdlib-{partition.lower()}-{run.seed}"},
        "spec": {
            "seed": run.seed,
            "task": {
                "type": "Language",
                "language": {
                    "architecture": {
                        "type": "GPT",
                        "gpt": {"context": CONTEXT, "width": run.width},
                    }
                },
            },
            "data": {"source": "builtin://python-stdlib", "holdout": 0.1},
            "partition": {"type": partition},
            "islands": {"count": 4},
            "training": {
                "steps": run.steps,
                "batchSizePerIsland": 16,
                "optimizer": {"learningRate": run.learning_rate},
            },
            "strategy": {
                "type": "ExpertEnsemble",
                "expertEnsemble": {"seedSteps": run.seed_steps, "router": router},
            },
            "baseline": {"enabled": partition == "TextClusters"},
            "evaluation": {"strategies": ["Full", "TopK"]},
        },
    }
    return TrainingJob.from_document(document).spec


def measure(run: Run) -> Numbers:
    """Train on clusters and on random parts, and score under each router."""
    start = time.process_time()
    bits: dict[tuple[str, str, str], float] = {}
    agreement = 0.0
    clusters, random = MemoryArtifacts(), MemoryArtifacts()
    _train(spec_of(run, "TextClusters", CENTROID), clusters)
    _train(spec_of(run, "Random", RUNNING), random)
    for name, router in ROUTERS.items():
        found = _evaluate(spec_of(run, "TextClusters", router), clusters)
        bits |= {("clusters", name, system): value for system, value in _bits(found).items()}
        if name == "T = 0.1":
            agreement = found["text"]["agreement"]
    found = _evaluate(spec_of(run, "Random", RUNNING), random)
    bits |= {("random", "Bayes, running", system): it for system, it in _bits(found).items()}
    return Numbers(run, bits, agreement, time.process_time() - start)


def _train(spec: TrainingJobSpec, artifacts: MemoryArtifacts) -> None:
    for step in pipeline(spec):
        if step.name != names.EVALUATE:
            _run(spec, step, artifacts, "")


def _evaluate(spec: TrainingJobSpec, artifacts: MemoryArtifacts) -> dict[str, Any]:
    (step,) = (step for step in pipeline(spec) if step.name == names.EVALUATE)
    artifacts.drop([names.REPORT_REF])
    with tempfile.TemporaryDirectory() as folder:
        _run(spec, step, artifacts, folder)
        report = json.loads(Path(folder, "report.json").read_text())
    findings: dict[str, Any] = report["findings"]
    return findings


def _run(spec: TrainingJobSpec, step: Step, artifacts: MemoryArtifacts, folder: str) -> None:
    reports: dict[str, ProgressReport] = {}
    place = Place(hub="127.0.0.1:1", report_folder=folder)
    order = work_order(JobIdentity(name="stdlib", uid="0"), spec, step, place)
    progress = MemoryProgress(step.name, reports)
    _role(order.role)(order, Context(artifacts, progress, MemoryStop()))


def _role(name: str) -> Callable[[Any, Context], None]:
    # By name: roles are entry points that only a process's main may import.
    run: Callable[[Any, Context], None] = import_module(f"atoll_worker.roles.{name}").run
    return run


def _bits(findings: dict[str, Any]) -> dict[str, float]:
    return {it["name"]: it["measures"]["bitsPerByte"] for it in findings["systems"]}


ROWS = (
    ("dense, same tokens", ("clusters", "T = 0.1", "Baseline")),
    ("c-BTM, T = 0.1, Full", ("clusters", "T = 0.1", "Full")),
    ("c-BTM, T = 0.1, most probable expert alone", ("clusters", "T = 0.1", "TopK")),
    ("c-BTM, T = 0.02", ("clusters", "T = 0.02", "Full")),
    ("c-BTM, T = 0.5", ("clusters", "T = 0.5", "Full")),
    ("Bayes from the prefix", ("clusters", "Bayes", "Full")),
    ("Bayes, running", ("clusters", "Bayes, running", "Full")),
    ("told the part (Oracle)", ("clusters", "T = 0.1", "Oracle")),
    ("uniform mixture", ("clusters", "T = 0.1", "Uniform")),
    ("mean of the weights", ("clusters", "T = 0.1", "Average")),
    ("experts on random parts, uniform mixture", ("random", "Bayes, running", "Uniform")),
    ("experts on random parts, mean of the weights", ("random", "Bayes, running", "Average")),
)


def summarise(numbers: list[Numbers]) -> list[Line]:
    """The claims of the product, each with its target, then every figure."""
    long = [it for it in numbers if it.run.kind == "long"]
    numbers = [it for it in numbers if it.run.kind == "short"]
    each = {name: [it.bits[key] for it in numbers] for name, key in ROWS}
    mixture, dense = each["c-BTM, T = 0.1, Full"], each["dense, same tokens"]
    random = each["experts on random parts, uniform mixture"]
    average = each["mean of the weights"]
    return [
        at_least("dense - mixture", minus(dense, mixture), 0.0),
        at_least("control: random parts - dense", minus(random, dense), 0.0),
        at_least("control: mean of the weights - mixture", minus(average, mixture), 0.1),
        told("mixture - Bayes, running", minus(mixture, each["Bayes, running"])),
        *(told(name, values) for name, values in each.items()),
        told("texts whose prefix names their part", [it.agreement for it in numbers], "1"),
        told("CPU seconds for a seed", [it.cpu_seconds for it in numbers], "s"),
        *(told(f"long: {name}", [it.bits[key] for it in long]) for name, key in ROWS if long),
    ]


def minus(left: list[float], right: list[float]) -> list[float]:
    """Run by run."""
    return [a - b for a, b in zip(left, right, strict=True)]


def at_least(name: str, values: list[float], limit: float) -> Line:
    """Every run must be above the limit."""
    met = min(values) > limit
    return Line(name, statistics.median(values), "bits/byte", f"> {limit:g}", met, values)


def told(name: str, values: list[float], unit: str = "bits/byte") -> Line:
    """Reported without a target."""
    return Line(name, statistics.median(values), unit, "-", None, values)


def table(lines: list[Line]) -> str:
    """The lines in Markdown."""
    out = ["| what | unit | each seed | target | met |", "|---|---|---|---|---|"]
    for line in lines:
        met = {True: "yes", False: "**no**", None: ""}[line.met]
        values = " ".join(f"{value:.4g}" for value in line.runs)
        out.append(f"| {line.name} | {line.unit} | {values} | {line.target} | {met} |")
    return "\n".join(out)


def main() -> int:
    """Run everything, print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 40 steps: a smoke test")
    parser.add_argument("--long", action="store_true", help="width 64, 400 steps at 2e-3 too")
    parser.add_argument("--processes", type=int, default=1, help="seeds at once")
    parser.add_argument("--json", type=Path, help="write the lines here")
    arguments = parser.parse_args()
    jobs = runs(quick=arguments.quick, long=arguments.long)
    numbers = []
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for found in pool.imap(measure, jobs):
            took = f"{found.cpu_seconds:.0f} CPU s"
            print(f"{found.run.kind}, seed {found.run.seed}: {took}", file=sys.stderr)
            numbers.append(found)
    lines = summarise(numbers)
    print(table(lines))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")
    return int(any(line.met is False for line in lines) and not arguments.quick)


if __name__ == "__main__":
    sys.exit(main())
