"""What a job that merges, or that reads text, may not say, and what it had better not."""

from typing import Any

import pytest
from builders import job_document

from atoll_api import rules
from atoll_api.problems import parse_job
from atoll_api.spec import TrainingJob

ITERATIVE, SINGLE = "strategy.iterativeMerge", "strategy.singleMerge"
EMA = {"training.ema.decay": 0.9}


def job(kind: str, **spec: Any) -> TrainingJob:
    """A classifier, its strategy of a kind."""
    task = {"type": "Classification"}
    fields = {"task": task, "strategy": {"type": kind}, **spec}
    return TrainingJob.from_document(job_document(**fields))


def text(**spec: Any) -> TrainingJob:
    """A job on text."""
    fields = {"task": {"type": "Language"}, "data.source": "builtin://python-stdlib", **spec}
    return TrainingJob.from_document(job_document(**fields))


@pytest.mark.parametrize("kind", ["IterativeMerge", "SingleMerge"])
def test_the_smallest_job_of_each_kind_is_valid_and_divides_at_random(kind: str) -> None:
    smallest = job(kind)
    assert [*rules.violations(smallest.spec), *rules.warnings(smallest.spec)] == []
    assert smallest.spec.partition.type == "Random"


def test_the_smallest_job_on_text_is_divided_and_routed_by_topic() -> None:
    smallest = text()
    assert [*rules.violations(smallest.spec)] == []
    assert smallest.spec.partition.type == "TextClusters"
    ensemble = smallest.spec.strategy.expert_ensemble
    assert ensemble is not None
    assert ensemble.router.type == "Centroid"
    parse_job(smallest.to_document())  # what defaults fill in is a valid document


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("IterativeMerge", {"islands.count": 1}, "islands.count"),
        ("SingleMerge", {"islands.count": 1}, "islands.count"),
        ("IterativeMerge", EMA, "training.ema"),
        ("SingleMerge", {"evaluation.strategies": ["Full"]}, "evaluation.strategies"),
        ("IterativeMerge", {"islands.count": 2}, f"{ITERATIVE}.topology.type"),
        ("IterativeMerge", {f"{ITERATIVE}.stepsPerRound": 300}, "training.steps"),
        ("IterativeMerge", {f"{ITERATIVE}.firstRoundSteps": 3000}, "training.steps"),
        ("SingleMerge", {f"{SINGLE}.gossip.stepsPerRound": 7}, "training.steps"),
        ("IterativeMerge", {f"{ITERATIVE}.mix": {"type": "OuterNesterov"}}, f"{ITERATIVE}.mix"),
        (
            "IterativeMerge",
            {
                f"{ITERATIVE}.mix": {"type": "OuterNesterov"},
                f"{ITERATIVE}.topology": {"type": "FullyConnected"},
                f"{ITERATIVE}.initialization": "Independent",
            },
            f"{ITERATIVE}.initialization",
        ),
        (
            "SingleMerge",
            {f"{SINGLE}.initialization": "Independent", f"{SINGLE}.gossip.peersPerRound": 0.0},
            f"{SINGLE}.initialization",
        ),
        (
            "SingleMerge",
            {f"{SINGLE}.gossip.windows": [{"start": 0.5, "end": 0.5, "peersPerRound": 1.0}]},
            f"{SINGLE}.gossip.windows[0]",
        ),
        (
            "IterativeMerge",
            {
                f"{ITERATIVE}.mix": {"type": "OuterNesterov"},
                f"{ITERATIVE}.topology": {"type": "FullyConnected"},
                "exchange.encoding": "Int8",
            },
            "exchange.encoding",
        ),
        (
            "IterativeMerge",
            {f"{ITERATIVE}.stepsPerRound": 1, "training.steps": 20_000},
            f"{ITERATIVE}.stepsPerRound",
        ),
        (
            "SingleMerge",
            {f"{SINGLE}.gossip.stepsPerRound": 1, "training.steps": 100_000},
            f"{SINGLE}.gossip.stepsPerRound",
        ),
        (
            "IterativeMerge",
            {f"{ITERATIVE}.initialization": "Independent", "exchange.encoding": "Delta"},
            "exchange.encoding",
        ),
    ],
)
def test_what_cannot_work_is_refused(kind: str, spec: dict[str, Any], field: str) -> None:
    found = [finding.field for finding in rules.violations(job(kind, **spec).spec)]
    assert found == [field]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([[0, 1], [2, 3]], "falls apart: island 2, 3 is not reached"),
        ([[0, 1], [1, 2], [2, 9]], "names an island that there is not"),
        ([[0, 1], [1, 2], [2, 3], [1, 0]], "stands twice"),
        ([[0, 0]], "no pair of two islands"),
        ([[0, 1, 2]], "no pair of two islands"),
    ],
)
def test_edges_that_make_no_graph_are_refused(pairs: list[list[int]], words: str) -> None:
    topology = {"type": "Edges", "edges": {"pairs": pairs}}
    found = [*rules.violations(job("IterativeMerge", **{f"{ITERATIVE}.topology": topology}).spec)]
    assert len(found) == 1
    assert words in found[0].message


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("SingleMerge", {f"{SINGLE}.gossip.peersPerRound": 0.01}, f"{SINGLE}.gossip.peersPerRound"),
        ("IterativeMerge", {f"{ITERATIVE}.align.when": "EveryRound"}, f"{ITERATIVE}.align"),
        (
            "IterativeMerge",
            {f"{ITERATIVE}.initialization": "Independent", f"{ITERATIVE}.align.when": "Never"},
            f"{ITERATIVE}.align.when",
        ),
    ],
)
def test_what_is_probably_not_wanted_is_said(kind: str, spec: dict[str, Any], field: str) -> None:
    assert [it.field for it in rules.warnings(job(kind, **spec).spec)] == [field]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"data.source": "builtin://digits"}, "data.source"),
        ({"partition": {"type": "FeatureClusters"}}, "partition.type"),
        ({"strategy.expertEnsemble.router.type": "Learned"}, "strategy.expertEnsemble.router.type"),
        (
            {"partition": {"type": "Random"}},
            "strategy.expertEnsemble.router.type",
        ),
        (
            {"task.language.architecture": {"type": "GPT", "gpt": {"heads": 3}}},
            "task.language.architecture.gpt.heads",
        ),
        (
            {"task.language.architecture": {"type": "GPT", "gpt": {"context": 64}}},
            "strategy.expertEnsemble.router.centroid.prefix",
        ),
    ],
)
def test_text_has_rules_of_its_own(spec: dict[str, Any], field: str) -> None:
    assert [finding.field for finding in rules.violations(text(**spec).spec)] == [field]


def test_numbers_are_no_text() -> None:
    document = job_document(partition={"type": "TextClusters"})
    found = [it.field for it in rules.violations(TrainingJob.from_document(document).spec)]
    assert found == ["partition.type"]


def test_alignment_follows_the_initialization() -> None:
    for initialization, when in (("Shared", "Never"), ("Independent", "FirstMerge")):
        spec = job("IterativeMerge", **{f"{ITERATIVE}.initialization": initialization}).spec
        assert spec.strategy.iterative_merge is not None
        assert spec.strategy.iterative_merge.alignment.when == when
