"""What each encoding does to the models of a run: bytes, weights, losses and samples.

Takes a finished run that travelled raw (`make demo` makes `runs/digits`), rounds its experts,
baseline and router as each `exchange.encoding` would, and evaluates each anew with the run's own
order: same noise, same holdout, so that a difference is the encoding's. Nothing is random or timed:
the figures repeat themselves, on one machine bit for bit.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch

from atoll_api import names, work_order
from atoll_api.names import Ref
from atoll_api.spec.exchange import Encoding
from atoll_api.work_order import EvaluateOrder
from atoll_cli.hub import artifacts_of
from atoll_worker.data.load import load
from atoll_worker.evaluate.candidates import candidates, sampler_of
from atoll_worker.evaluate.distance import correlation
from atoll_worker.evaluate.holdout import Holdout
from atoll_worker.evaluate.loading import Job, load_job
from atoll_worker.evaluate.reference import make_reference
from atoll_worker.evaluate.scoring import Scored, score
from atoll_worker.exchange.encoding import encode, received
from atoll_worker.ports import Artifact, Base, Binding
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.initial import initialization

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


@dataclass
class Rounding:
    """The artifacts of a run, its models rounded by one encoding."""

    found: Mapping[Ref, Artifact]
    bound: Mapping[Ref, Binding]
    encoding: Encoding
    base: Base

    def fetch(self, ref: Ref) -> Artifact:
        """See `ports.Artifacts.fetch`."""
        artifact = self.found[ref]
        if ref == names.ASSIGNMENT_REF:
            return artifact
        return replace(
            artifact, tensors=received(artifact.tensors, self.encoding, self.base_of(ref))
        )

    def bindings(self, prefix: str = "") -> Mapping[Ref, Binding]:
        """See `ports.Artifacts.bindings`."""
        return {ref: it for ref, it in self.bound.items() if ref.startswith(prefix)}

    def base_of(self, ref: Ref) -> Base | None:
        """Only what an island trains has a base."""
        return None if ref == names.ROUTER_REF else self.base

    def publish(self, ref: Ref, artifact: Artifact) -> Binding:
        """Nothing is published here."""
        raise NotImplementedError(ref, artifact)

    def drop(self, refs: object) -> None:
        """Nothing is dropped here."""
        raise NotImplementedError(refs)

    def models(self) -> Iterator[tuple[Ref, Artifact]]:
        """Experts and baseline, exact."""
        for ref, artifact in self.found.items():
            if ref not in {names.ASSIGNMENT_REF, names.ROUTER_REF}:
                yield ref, artifact


def read_run(run: Path) -> tuple[EvaluateOrder, dict[Ref, Artifact], Mapping[Ref, Binding]]:
    """The order of a run's evaluation, and what that reads."""
    order = work_order.parse((run / "orders" / "evaluate.json").read_bytes())
    if not isinstance(order, EvaluateOrder):
        raise SystemExit(f"{run}: orders/evaluate.json is no order to evaluate")
    with artifacts_of(run) as artifacts:
        bound = artifacts.bindings()
        wanted = [names.ASSIGNMENT_REF, names.ROUTER_REF, names.BASELINE_REF]
        wanted += [names.expert_ref(island) for island in range(order.count)]
        found = {ref: artifacts.fetch(ref) for ref in wanted if ref in bound}
    if any(it.encoding != "Raw" for it in found.values()):
        raise SystemExit(f"{run}: its models were rounded already: use a run with encoding Raw")
    return order, found, bound


def share_of_bytes(rounding: Rounding) -> float:
    """Bytes of experts and baseline against raw."""
    encoding, sizes = rounding.encoding, [0, 0]
    for ref, artifact in rounding.models():
        travelling = replace(artifact, encoding=encoding, base=rounding.base_of(ref))
        sizes[0] += encode(travelling).manifest.size_bytes
        sizes[1] += encode(artifact).manifest.size_bytes
    return sizes[0] / sizes[1]


def relative_error(rounding: Rounding) -> float:
    """Root mean square of what rounding changes, over that of the weights."""
    changed, whole = 0.0, 0.0
    for ref, artifact in rounding.models():
        for name, tensor in rounding.fetch(ref).tensors.items():
            exact = artifact.tensors[name].double()
            changed += float(((tensor.double() - exact) ** 2).sum())
            whole += float((exact**2).sum())
    return float((changed / whole) ** 0.5)


def evaluate(order: EvaluateOrder, job: Job) -> Scored:
    """The run's own ensemble."""
    sampler = sampler_of(job, order)
    holdout = Holdout(job.task, job.dataset, job.assignment, order.seed)
    reference = make_reference(job.dataset, job.assignment)
    sampling = None if sampler is None else (sampler, reference)
    wanted = next(it for it in candidates(job, order, sampler) if it.name == order.combine.type)
    return score(wanted, sampling, holdout, None, lambda: None)


def measure(run: Path) -> list[dict[str, object]]:
    """Every figure, by encoding."""
    order, found, bound = read_run(run)
    torch.set_num_threads(order.threads)
    initial = initialization(load_task(order.task), load(order.data), order.seed)
    base = Base(names.INIT_REF, encode(initial).manifest.digest, initial)
    figures, exact = [], None
    for encoding in ENCODINGS:
        rounding = Rounding(found, bound, encoding, base)
        scored = evaluate(order, load_job(order, rounding))
        exact = exact or scored
        figures += [
            _figure(f"{encoding} bytes", share_of_bytes(rounding), "share of raw"),
            _figure(f"{encoding} weights", relative_error(rounding), "relative RMS error"),
            _figure(f"{encoding} holdout loss", scored.scores.holdout_loss, "of the ensemble"),
        ]
        samples = scored.scores.samples
        if samples is not None:
            pairs = zip(scored.first, exact.first, strict=True)
            alike = min(correlation(ours, theirs) for ours, theirs in pairs)
            figures += [
                _figure(f"{encoding} Frechet", samples.frechet_train.mean, "to the training data"),
                _figure(f"{encoding} Frechet sd", samples.frechet_train.sd, "between seeds"),
                _figure(f"{encoding} samples", alike, "correlation with Raw's, same noise"),
            ]
    return figures


def _figure(name: str, value: float, unit: str) -> dict[str, object]:
    return {"name": name, "value": value, "unit": unit, "target": None, "met": None, "runs": []}


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/digits"))
    parser.add_argument("--quick", action="store_true", help="the same: there is nothing to repeat")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    figures = measure(options.run)
    for one in figures:
        print(f"{one['name']:24} {one['value']:>12.6g} {one['unit']}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
