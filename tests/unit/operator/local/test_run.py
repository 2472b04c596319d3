"""A job resolved: paths, identity, and whether two jobs are the same."""

from pathlib import Path
from typing import Any

import pytest
from builders import FULL_TEMPLATE, job, make_job

from atoll_operator.local.options import Timing
from atoll_operator.local.run import identity, resolve
from atoll_operator.local.same_job import difference


@pytest.mark.parametrize(
    ("source", "resolved"),
    [
        ("builtin://digits", "builtin://digits"),
        ("file://images", "file:///jobs/images"),
        ("file:///data/x.npz", "file:///data/x.npz"),
    ],
)
def test_paths_are_taken_from_the_folder_of_the_job(source: str, resolved: str) -> None:
    found = resolve(job(2, data={"source": source}), Path("/jobs"))

    assert found.spec.data.source == resolved


def test_the_identity_is_that_of_what_is_computed() -> None:
    first = identity(job(2))

    assert identity(job(2, runPolicy={"activeDeadlineSeconds": 5})) == first
    assert identity(job(2, quorum=1)) == first
    assert identity(job(2, seed=1)) != first


WITHOUT_EFFECT: list[dict[str, Any]] = [
    {"suspend": True},
    {"managedBy": "atoll.dev/operator"},
    {"runPolicy": {"ttlSecondsAfterFinished": 5}},
    {"template": FULL_TEMPLATE},
    {"roles": [{"role": "hub", "template": FULL_TEMPLATE}]},
    {"network": {"isolation": "Open"}},
]


@pytest.mark.parametrize("fields", WITHOUT_EFFECT)
def test_what_is_for_clusters_alone_is_no_other_job(fields: dict[str, Any]) -> None:
    assert identity(job(2, **fields)) == identity(job(2))
    assert difference(job(2), job(2, **fields)) is None


def test_nor_are_pods_of_islands_and_claims() -> None:
    plain = {"islands.count": 2, "artifacts.storage.type": "PersistentVolumeClaim"}
    one = make_job(**plain)
    for fields in (
        {"islands.template": FULL_TEMPLATE},
        {"islands.overrides": [{"island": 1, "template": FULL_TEMPLATE}]},
        {"artifacts.storage.persistentVolumeClaim": {"accessModes": ["ReadWriteOncePod"]}},
    ):
        other = make_job(**{**plain, **fields})
        assert identity(other) == identity(one)
        assert difference(one, other) is None


def test_what_may_differ_and_what_may_not() -> None:
    assert difference(job(3), job(3)) is None
    assert difference(job(3), job(3, quorum=2)) is None
    assert difference(job(3), job(3, runPolicy={"activeDeadlineSeconds": 5})) is None
    assert "may only go down" in (difference(job(3, quorum=2), job(3)) or "")
    changed = job(3, training={"steps": 5})
    assert difference(job(3), changed) == "spec.training.steps is 2000 there and 5 here"


def test_backoff_doubles_up_to_its_cap() -> None:
    timing = Timing(first_backoff_seconds=0.5, last_backoff_seconds=30.0)

    assert [timing.backoff_seconds(n) for n in (0, 1, 2, 10, 10_000)] == [0.5, 1.0, 2.0, 30.0, 30.0]
