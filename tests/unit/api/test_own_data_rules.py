"""What a job may say whose islands bring their own data, and what it may not."""

from typing import Any

import pytest
from builders import job_document

from atoll_api import rules
from atoll_api.spec import TrainingJob

SHARED = {"source": "file://shared.npz"}


def job(**spec: Any) -> TrainingJob:
    fields = {
        "task": {"type": "Classification"},
        "strategy": {"type": "IterativeMerge"},
        "partition": {"type": "PerIsland"},
        "data.source": "file:///data/{island}.npz",
        "evaluation.data": SHARED,
        **spec,
    }
    return TrainingJob.from_document(job_document(**fields))


def problems(**spec: Any) -> list[str]:
    return [finding.field for finding in rules.violations(job(**spec).spec)]


def test_each_island_reads_its_own_data_and_everybody_else_the_shared_ones() -> None:
    other = {"source": "file:///elsewhere/{island}", "imageSize": 8}
    spec = job(**{"islands.overrides": [{"island": 2, "data": other}]}).spec
    assert [*rules.violations(spec), *rules.warnings(spec)] == []
    assert spec.data_of(0).source == "file:///data/0.npz"
    assert spec.data_of(2).source == "file:///elsewhere/2"
    assert spec.data_of(2).image_size == 8
    assert spec.shared_data.source == SHARED["source"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"evaluation": {}}, "evaluation.data"),
        ({"evaluation.data": {"source": "file://{island}.npz"}}, "evaluation.data.source"),
        ({"baseline": {"enabled": True}}, "baseline.enabled"),
        ({"strategy": {"type": "ExpertEnsemble"}}, "partition.type"),
        ({"islands.overrides": [{"island": 4}]}, "islands.overrides[0].island"),
        ({"islands.overrides": [{"island": 1}, {"island": 1}]}, "islands.overrides[1].island"),
        (
            {"islands.overrides": [{"island": 1, "data": {"source": "builtin://digit"}}]},
            "islands.overrides[0].data.source",
        ),
        ({"evaluation.data": {"source": "builtin://python-stdlib"}}, "evaluation.data.source"),
        (
            {"evaluation.data": {"source": "builtin://digits", "imageSize": 8}},
            "evaluation.data.imageSize",
        ),
    ],
)
def test_what_own_data_do_not_go_with(spec: dict[str, Any], field: str) -> None:
    assert problems(**spec) == [field]


def test_a_dataset_that_is_divided_is_one_for_all() -> None:
    override = [{"island": 1, "data": SHARED}]
    found = problems(**{"partition.type": "Random", "islands.overrides": override})
    assert found == ["data.source", "evaluation.data", "islands.overrides[0].data"]


def test_islands_that_bring_the_same_builtin_data_are_warned() -> None:
    found = list(rules.warnings(job(**{"data.source": "builtin://digits"}).spec))
    assert [finding.field for finding in found] == ["data.source"]


def test_a_path_that_is_the_same_on_every_node_is_not() -> None:
    assert list(rules.warnings(job(**{"data.source": "file:///data/mine.npz"}).spec)) == []
