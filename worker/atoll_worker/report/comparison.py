"""Two runs beside each other: what they were told, what came of it, and which artifacts are equal.

Pure. Nothing here says which run is better as a whole: of a number it says so where it is known
which way is good, and of runs that cannot be compared in full, why.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from atoll_api.base import FrozenModel, Items
from atoll_api.spec import TrainingJob
from atoll_api.status import TrainingJobStatus
from atoll_worker.report.document import Report, SamplingFacts, SystemScores, TrainedModel
from atoll_worker.report.timeline import seconds_of

Side = Literal["A", "B"]
Relation = Literal["Equal", "Different", "OnlyA", "OnlyB"]

_LOWER_IS_BETTER: Final = frozenset(
    {"HoldoutLoss", "FrechetTrain", "FrechetHoldout", "BitsPerByte", "FinalHoldoutLoss"}
)
_HIGHER_IS_BETTER: Final = frozenset({"Accuracy"})
_NAMES: Final = ("apiVersion", "kind", "metadata.namespace")
"""Fields that say nothing of what was computed."""


@dataclass(frozen=True)
class RunSide:
    """One of the two.

    Attributes:
        title: what the user calls it.
        report: its numbers.
        job: resolved, as it was accepted; None where only a report is there.
        status: likewise.
    """

    title: str
    report: Report
    job: TrainingJob | None = None
    status: TrainingJobStatus | None = None


class Difference(FrozenModel):
    """A field of the two jobs that is not the same."""

    path: str
    a: str | None = None
    """As JSON would say it; None where the job has no such field."""
    b: str | None = None


class Pair(FrozenModel):
    """One number of both."""

    name: str
    of: str
    """A system, or an island."""
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    """B less A."""
    better: Side | None = None
    """None where they are equal, one is missing, or nobody knows which way is good."""


class ArtifactPair(FrozenModel):
    """One ref of both."""

    ref: str
    relation: Relation
    a: str | None = None
    """Digest."""
    b: str | None = None


class Comparison(FrozenModel):
    """`comparison.json`."""

    schema_version: Literal[1] = 1
    a: str
    b: str
    notes: Items[str]
    """Why some of it cannot be compared, or says little."""
    configuration: Items[Difference]
    metrics: Items[Pair]
    islands: Items[Pair]
    run: Items[Pair]
    """What it took: seconds, bytes between islands, restarts."""
    artifacts: Items[ArtifactPair]

    def count(self, relation: Relation) -> int:
        """Artifacts of which that is so."""
        return sum(it.relation == relation for it in self.artifacts)


def compare(a: RunSide, b: RunSide) -> Comparison:
    """Put the numbers of two runs side by side."""
    return Comparison(
        a=a.title,
        b=b.title,
        notes=tuple(_notes(a, b)),
        configuration=tuple(differences(a.job, b.job)) if a.job and b.job else (),
        metrics=_metrics(a.report, b.report),
        islands=_islands(a.report, b.report),
        run=_pairs(_costs(a), _costs(b)),
        artifacts=tuple(_artifacts(digests(a), digests(b))),
    )


def differences(a: TrainingJob, b: TrainingJob) -> Iterator[Difference]:
    """Fields of two jobs that are not the same, by path."""
    ours, theirs = _flat(a.to_document()), _flat(b.to_document())
    for path in sorted({*ours, *theirs} - set(_NAMES)):
        if ours.get(path) != theirs.get(path):
            yield Difference(path=path, a=ours.get(path), b=theirs.get(path))


def _flat(node: Any, path: str = "") -> dict[str, str]:
    """Leaves by path; an empty list or object is a leaf."""
    items: dict[str, Any] = {}
    if isinstance(node, Mapping):
        items = {f"{path}.{name}" if path else name: value for name, value in node.items()}
    elif isinstance(node, list | tuple):
        items = {f"{path}[{index}]": value for index, value in enumerate(node)}
    if not items:
        return {path: _said(node)}
    return {
        leaf: text for name, value in items.items() for leaf, text in _flat(value, name).items()
    }


def _said(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _metrics(a: Report, b: Report) -> tuple[Pair, ...]:
    """What both jobs chose first, even if that is not called alike; then system by system."""
    ours, theirs = a.findings.combine, b.findings.combine
    pairs = _pairs(_headlines(a), _headlines(b))
    if ours == theirs:
        found = tuple(sorted(pairs, key=lambda it: it.of != ours))
    else:
        both = f"{ours}, {theirs}"
        found = (*_pairs(_chosen(a, both), _chosen(b, both)), *pairs)
    return tuple(it if _alike(it.name, a, b) else _unjudged(it) for it in found)


def _alike(name: str, a: Report, b: Report) -> bool:
    """Whether a number was measured in the same way, on the same data."""
    ours, theirs = a.findings, b.findings
    same = not name.startswith("Frechet") or _measured(ours.sampling) == _measured(theirs.sampling)
    return same and ours.data.digest == theirs.data.digest


def _unjudged(pair: Pair) -> Pair:
    return pair.model_copy(update={"better": None})


def _chosen(report: Report, called: str) -> dict[tuple[str, str], float]:
    system = report.findings.system(report.findings.combine)
    return {(name, called): it for name, it in numbers_of(system).items()} if system else {}


def _headlines(report: Report) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for system in report.findings.systems:
        found |= {(name, system.name): value for name, value in numbers_of(system).items()}
    return found


def numbers_of(system: SystemScores) -> dict[str, float]:
    """The headline numbers of one system, not rounded."""
    numbers = {"HoldoutLoss": system.holdout_loss}
    if system.samples is not None:
        numbers["FrechetTrain"] = system.samples.frechet_train.mean
        numbers["FrechetHoldout"] = system.samples.frechet_holdout.mean
    return numbers | {name[0].upper() + name[1:]: it for name, it in system.measures.items()}


def _islands(a: Report, b: Report) -> tuple[Pair, ...]:
    """Each measured on the holdout of its own part."""
    ours, theirs = a.findings, b.findings
    alike = (ours.data.digest, ours.partition.assignment_hash) == (
        theirs.data.digest,
        theirs.partition.assignment_hash,
    )
    pairs = _pairs(_island_losses(a), _island_losses(b))
    return pairs if alike else tuple(map(_unjudged, pairs))


def _island_losses(report: Report) -> dict[tuple[str, str], float]:
    found = ((it.name, it.final_holdout_loss) for it in models_of(report))
    return {("FinalHoldoutLoss", name): loss for name, loss in found if loss is not None}


def models_of(report: Report) -> list[TrainedModel]:
    """The islands, and the baseline where there is one."""
    baseline = report.findings.baseline
    return [*report.findings.islands, *((baseline,) if baseline else ())]


def _costs(side: RunSide) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    between = side.report.run.bytes_between_islands
    if between is not None:
        found["BytesBetweenIslands", "job"] = float(between)
    status = side.status
    if status is None:
        return found
    found["Restarts", "job"] = float(sum(it.restarts for it in (*status.islands, *status.steps)))
    if status.start_time and status.completion_time:
        seconds = seconds_of(status.completion_time) - seconds_of(status.start_time)
        found["Seconds", "job"] = seconds
    return found


def _pairs(
    a: Mapping[tuple[str, str], float], b: Mapping[tuple[str, str], float]
) -> tuple[Pair, ...]:
    return tuple(_pair(key, a.get(key), b.get(key)) for key in dict.fromkeys((*a, *b)))


def _pair(key: tuple[str, str], a: float | None, b: float | None) -> Pair:
    name, of = key
    if a is None or b is None:
        return Pair(name=name, of=of, a=a, b=b)
    return Pair(name=name, of=of, a=a, b=b, difference=b - a, better=_better(name, a, b))


def _better(name: str, a: float, b: float) -> Side | None:
    if a == b:
        return None
    if name in _LOWER_IS_BETTER:
        return "A" if a < b else "B"
    if name in _HIGHER_IS_BETTER:
        return "A" if a > b else "B"
    return None


def digests(side: RunSide) -> dict[str, str]:
    """Digest of every artifact that is known of, by ref."""
    told = side.status.artifacts if side.status else ()
    return {**side.report.findings.parents, **{it.name: it.digest for it in told}}


def _artifacts(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[ArtifactPair]:
    for ref in sorted({*a, *b}):
        ours, theirs = a.get(ref), b.get(ref)
        relation: Relation = "Equal" if ours == theirs else "Different"
        if ours is None or theirs is None:
            relation = "OnlyB" if ours is None else "OnlyA"
        yield ArtifactPair(ref=ref, relation=relation, a=ours, b=theirs)


def _measured(sampling: SamplingFacts | None) -> tuple[object, ...]:
    """How distances come to be; more sampling seeds make them surer, not other."""
    if sampling is None:
        return ()
    return (sampling.samples, sampling.sampler, sampling.steps, sampling.features)


def _notes(a: RunSide, b: RunSide) -> Iterator[str]:
    """What a careful reader should know."""
    ours, theirs = a.report.findings, b.report.findings
    if ours == theirs:
        yield "Both have the same findings, to the last digit."
    for side in (a, b):
        if side.job is None:
            yield (
                f"{side.title} holds a report alone: what its job was told, when it ran and what "
                "else it made is not known here."
            )
    if a.job and b.job and a.job.spec.strategy.type != b.job.spec.strategy.type:
        told = f"{a.job.spec.strategy.type} and {b.job.spec.strategy.type}"
        yield f"The strategies differ ({told}): systems of one have no counterpart in the other."
    if ours.data.digest != theirs.data.digest:
        yield "The data differ: losses and distances are of other samples, and cannot be compared."
    elif ours.partition.assignment_hash != theirs.partition.assignment_hash:
        yield "The data are divided otherwise: an island of one has another part in the other."
    if _measured(ours.sampling) != _measured(theirs.sampling):
        yield "Samples were drawn or compared otherwise: Frechet distances cannot be compared."
    if len(ours.islands) != len(theirs.islands):
        yield f"There are {len(ours.islands)} islands in A and {len(theirs.islands)} in B."
    if ours.seed != theirs.seed:
        yield f"The seeds differ ({ours.seed} and {theirs.seed}): some of any difference is chance."
