"""`report.json`: every number of the evaluation, typed.

`Findings` are a function of the job's artifacts and of nothing else: equal artifacts give equal
findings, so they are what the `report` artifact carries. `Report` adds facts of this one run.
"""

from typing import Literal

from pydantic import Field

from atoll_api.base import FrozenModel, Items
from atoll_api.status import Metric

SCHEMA_VERSION: Literal[1] = 1


class Spread(FrozenModel):
    """One number over the sampling seeds."""

    mean: float
    sd: float
    """Sample standard deviation; 0 with one seed."""
    values: Items[float]


class DataFacts(FrozenModel):
    """What was trained on."""

    source: str
    digest: str
    train_samples: int
    holdout_samples: int
    sample_shape: Items[int]
    class_names: Items[str]
    normalisation: str


class PartitionFacts(FrozenModel):
    """Who trained on what."""

    type: str
    assignment_hash: str
    sizes: Items[int]
    imbalance: float
    """Largest part over the mean part."""


class SamplingFacts(FrozenModel):
    """How samples were drawn and compared."""

    samples: int
    seeds: int
    sampler: str
    steps: int
    features: str
    floor: float
    """Frechet distance of the training samples to the holdout: what perfection looks like."""
    holdout_nearest_train: float
    """Mean distance of a holdout sample to the nearest training sample, for `nearestTrain`."""


class SampleScores(FrozenModel):
    """How close a system's samples are to real ones."""

    frechet_train: Spread
    frechet_holdout: Spread
    label_variation: Spread
    """Total variation between the labels of samples and of the training data."""
    part_variation: Spread | None
    """Total variation between the parts samples fall in and the parts' sizes; None where islands
    bring their own data."""
    nearest_train: Spread
    """Mean distance to the nearest training sample; far below the holdout's is memorisation."""
    same_noise_correlation: float | None = None
    """Pearson, with the baseline's samples from the same noise."""
    shuffled_correlation: float | None = None
    """The same with the pairs shuffled: how alike any two samples are."""


class SystemScores(FrozenModel):
    """One combine strategy, or the baseline."""

    name: str
    """`Baseline`, or the type of the strategy."""
    settings: dict[str, float]
    parameters: int
    """Of all models it needs."""
    mean_active_experts: float
    flops_per_step: float
    """Of one sample and one evaluation of the field, router included."""
    holdout_loss: float
    """The task's loss on the holdout at fixed corruptions; of text, on what follows the prefix."""
    measures: dict[str, float] = Field(default_factory=dict)
    """More scores on the same, of a task that has them, such as `bitsPerByte`."""
    samples: SampleScores | None = None
    """None for a task that cannot be sampled."""
    frechet_ratio: float | None = None
    """`frechetTrain` over the baseline's; below 1 is better than the baseline."""


class TrainedModel(FrozenModel):
    """What an island, or the baseline, says of its training."""

    name: str
    island: int | None = None
    present: bool
    """False for an island that was lost; nothing else is known of it then."""
    digest: str = ""
    parameters: int = 0
    steps: int = 0
    samples_seen: int = 0
    train_samples: int = 0
    initial_holdout_loss: float | None = None
    final_holdout_loss: float | None = None
    gate_passed: bool | None = None
    """Whether it beat its own initialisation on its own holdout."""
    encoding: str = "Raw"
    """How its weights travelled; all figures are of the weights that arrived."""
    own_part_loss: float | None = None
    """Loss on the holdout of its own part, measured here."""
    other_parts_loss: float | None = None
    """Loss on everybody else's: what it was never meant for."""
    measures: dict[str, float] = Field(default_factory=dict)
    """More scores on the whole holdout, of a task that has them."""
    loss_curve: Items[Items[float]] = ()
    """[step, training loss]."""


class RouterBin(FrozenModel):
    """The router at one range of noise levels."""

    time_low: float
    time_high: float
    accuracy: float
    cross_entropy: float
    calibration_error: float
    """Expected calibration error."""
    confidence: float
    """Mean probability of the part it thinks most probable."""


class RouterFacts(FrozenModel):
    """What the router says of itself."""

    digest: str
    parameters: int
    chance: float
    """Accuracy of always naming the largest part."""
    bins: Items[RouterBin]


class Continuation(FrozenModel):
    """What a system writes after the beginning of a text of the holdout."""

    system: str
    prompt: str
    text: str


class TextFacts(FrozenModel):
    """How texts were routed, and what they look like."""

    router: str
    settings: dict[str, float]
    """Of the router; `prefix` is the bytes it saw, and the rest is what was scored."""
    scored_texts: int
    agreement: float
    """Share of those whose part, by the prefix alone, is the one of the whole text."""
    temperature: float
    """Of the continuations."""
    examples: Items[Items[str]]
    """A few texts of each island's part."""
    continuations: Items[Continuation]


class Mergeability(FrozenModel):
    """How well the islands would merge after some step (arXiv 2507.06542, section 4)."""

    step: int
    islands: int
    """That were there."""
    local: dict[str, float]
    """Mean over the islands of `loss`, and of what else the task measures, on the holdout."""
    merged: dict[str, float]
    """The same of the mean of their weights."""
    gap: float
    """Loss of the mean less the mean of the losses: below 0, merging helps."""
    consensus_distance: float
    """mean |x_k - mean|^2 / |mean|^2."""


class IslandRounds(FrozenModel):
    """The rounds of one island."""

    island: int
    merges: int
    """In which it took at least one other's weights."""
    snapshots: int
    """Of others, that it took."""
    notes: Items[str] = ()
    """Rounds in which somebody was missing, and why; the last few."""


class MergingFacts(FrozenModel):
    """How weights were exchanged, and what came of it."""

    strategy: str
    graph: str
    rounds: int
    spectral_gap: float | None = None
    """1 - |W - 11^T/N|_2 of the mixing matrix; None for gossip, which has none."""
    weights: str
    """Of the final merge."""
    reestimated: bool
    """Whether norm statistics were measured anew by the islands."""
    mergeability: Items[Mergeability]
    """On the way, and last of all at the end."""
    islands: Items[IslandRounds]


class Verdict(FrozenModel):
    """The answer to the only question that a reader has at first."""

    outcome: Literal["Better", "Tie", "Worse", "NoBaseline"]
    sentence: str
    notes: Items[str] = ()
    """What a careful reader should know beside it."""


class Findings(FrozenModel):
    """All that follows from the artifacts."""

    schema_version: Literal[1] = SCHEMA_VERSION
    seed: int
    data: DataFacts
    partition: PartitionFacts
    contract: dict[str, str]
    combine: str
    """The strategy that the job chose; `Merged` where there is one model."""
    systems: Items[SystemScores]
    islands: Items[TrainedModel]
    baseline: TrainedModel | None = None
    router: RouterFacts | None = None
    """None where none was trained."""
    text: TextFacts | None = None
    """None for data that are no text."""
    merging: MergingFacts | None = None
    """None for an ensemble."""
    sampling: SamplingFacts | None = None
    verdict: Verdict
    parents: dict[str, str]
    """Digest of every artifact that was read, by ref."""

    def system(self, name: str) -> SystemScores | None:
        """The scores of one system, or None."""
        return next((system for system in self.systems if system.name == name), None)


class StepWire(FrozenModel):
    """Bytes on the sockets of one process while it trained."""

    step: str
    peer: str
    sent_bytes: int
    received_bytes: int


class RunFacts(FrozenModel):
    """What was seen in this run only."""

    job: str
    uid: str
    wires: Items[StepWire] = ()
    """Empty where the kernel does not count."""
    bytes_between_islands: int | None = None
    """While training, from the wires; None when not measured."""


class Report(FrozenModel):
    """`report.json`."""

    metrics: Items[Metric]
    """The headline numbers, as the job's status shows them."""
    findings: Findings
    run: RunFacts


def metrics(findings: Findings) -> tuple[Metric, ...]:
    """The headline numbers of the status: a few a system, as decimal strings."""
    found: list[Metric] = []
    for system in findings.systems:
        numbers = {"HoldoutLoss": system.holdout_loss}
        if system.samples is not None:
            numbers["FrechetTrain"] = system.samples.frechet_train.mean
            numbers["FrechetHoldout"] = system.samples.frechet_holdout.mean
        numbers |= {name[0].upper() + name[1:]: value for name, value in system.measures.items()}
        found += [Metric(name=n, model=system.name, value=f"{v:.4f}") for n, v in numbers.items()]
    return tuple(found)
