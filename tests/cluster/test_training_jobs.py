"""Jobs on a real cluster, by the chart's operator: the digests of a laptop, and faults that cost time."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from atoll_runs import digests, run_to_end
from kubectl import Kubectl
from lab import (
    ENSEMBLE,
    LONG,
    SMALL,
    bound,
    condition,
    in_state,
    island,
    jobs_of,
    submit,
    trains,
    until,
)

pytestmark = pytest.mark.timeout(900)

DOCS = Path(__file__).parents[2] / "docs"
CLASSIFIER = {"type": "Classification", "classification": {"normalization": "BatchNorm"}}
MERGING: Mapping[str, Any] = {
    **SMALL,
    "task": CLASSIFIER,
    "islands.count": 3,
    "training.steps": 300,
    "evaluation": {},
}
ITERATIVE: Mapping[str, Any] = {
    **MERGING,
    "strategy": {"type": "IterativeMerge", "iterativeMerge": {"stepsPerRound": 100}},
}
SINGLE: Mapping[str, Any] = {
    **MERGING,
    "strategy": {
        "type": "SingleMerge",
        "singleMerge": {"gossip": {"peersPerRound": 0.5, "stepsPerRound": 20}},
    },
}


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("name", "spec"),
    [("ensemble", ENSEMBLE), ("iterative", ITERATIVE), ("single", SINGLE)],
)
def test_the_digests_are_those_of_a_laptop(
    lab: Kubectl, tmp_path: Path, name: str, spec: Mapping[str, Any]
) -> None:
    submit(lab, name, **spec)
    expected = digests(run_to_end(tmp_path, **spec))
    status = until(lab, name, in_state("Complete"), 300)
    found = bound(status)
    assert found
    assert found.items() <= expected.items()
    assert status["evaluation"]["metrics"]
    lab.run("delete", "trainingjob", name)


def test_the_digests_of_language_are_those_of_a_laptop(lab: Kubectl, tmp_path: Path) -> None:
    """Text of our own: what ships with Python differs with its version, and so would the job."""
    text = tmp_path / "text"
    text.mkdir()
    (text / "pages.txt").write_text("\n\n".join(it.read_text() for it in sorted(DOCS.glob("*.md"))))
    lab.run("create", "configmap", "text", f"--from-file={text}")
    volume = {"name": "text", "mountPath": str(text), "configMap": {"name": "text"}}
    spec = {
        "islands.count": 2,
        "task": {
            "type": "Language",
            "language": {
                "architecture": {"type": "GPT", "gpt": {"layers": 1, "width": 32, "context": 64}}
            },
        },
        "data": {"source": f"file://{text}/pages.txt"},
        "training": {"steps": 30, "batchSizePerIsland": 16},
        "strategy.expertEnsemble.router": {"type": "Centroid", "centroid": {"prefix": 16}},
        "template": {**SMALL["template"], "volumes": [volume]},
        "evaluation": {},
    }
    submit(lab, "language", **spec)
    expected = digests(run_to_end(tmp_path, **spec))
    status = until(lab, "language", in_state("Complete"), 300)
    assert {"clusters", "experts/0", "experts/1", "report"} < bound(status).keys()
    assert bound(status).items() <= expected.items()
    lab.run("delete", "trainingjob", "language")


def test_an_island_whose_pod_is_deleted_goes_on_alone(lab: Kubectl, tmp_path: Path) -> None:
    submit(lab, "killed", **LONG)
    until(lab, "killed", trains(1), 180)
    time.sleep(2)  # a checkpoint a second
    before = jobs_of(lab, "killed")
    lab.run("delete", "pod", "-l", "atoll.dev/job=killed,atoll.dev/island=1", "--wait=false")
    expected = digests(run_to_end(tmp_path, **LONG))
    status = until(lab, "killed", in_state("Complete"), 300)
    assert bound(status).items() <= expected.items()
    assert before.items() <= jobs_of(lab, "killed").items(), "no Job was made again"
    assert island(status, 0)["restarts"] == 0
    lab.run("delete", "trainingjob", "killed")


def test_another_leader_goes_on_and_makes_nothing_twice(lab: Kubectl) -> None:
    submit(lab, "led", **LONG)
    until(lab, "led", trains(0), 180)
    before = jobs_of(lab, "led")
    leader = json.loads(lab.run("get", "lease", "atoll-operator", "-o", "json"))
    holder = leader["spec"]["holderIdentity"]
    lab.run("delete", "pod", holder.partition("_")[0], "--force", "--grace-period=0")
    deadline = time.monotonic() + 60

    def taken() -> bool:
        found = json.loads(lab.run("get", "lease", "atoll-operator", "-o", "json"))
        return found["spec"]["holderIdentity"] not in ("", None, holder)

    while not taken():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    until(lab, "led", in_state("Complete"), 300)
    assert before.items() <= jobs_of(lab, "led").items()
    lab.run("delete", "trainingjob", "led")


def test_a_job_is_suspended_and_goes_on_with_the_same_end(lab: Kubectl, tmp_path: Path) -> None:
    submit(lab, "paused", **LONG)
    until(lab, "paused", trains(0), 180)
    lab.run("patch", "trainingjob", "paused", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    status = until(lab, "paused", in_state("Suspended"), 90)
    assert condition(status, "Suspended")["status"] == "True"
    lab.run("patch", "trainingjob", "paused", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    expected = digests(run_to_end(tmp_path, **LONG))
    status = until(lab, "paused", in_state("Complete"), 300)
    assert bound(status).items() <= expected.items()
    lab.run("delete", "trainingjob", "paused")


def test_a_hub_on_a_claim_comes_back_with_all_it_had(lab: Kubectl) -> None:
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    submit(lab, "claimed", **{**LONG, "artifacts": {"storage": storage}})
    until(lab, "claimed", trains(1), 180)
    lab.run("delete", "pod", "claimed-hub-0", "--wait=false")
    until(lab, "claimed", in_state("Complete"), 300)
    lab.run("delete", "trainingjob", "claimed")


def test_a_hub_that_loses_its_empty_dir_is_told(lab: Kubectl) -> None:
    submit(lab, "lost", **LONG)
    until(lab, "lost", trains(1), 180)
    lab.run("delete", "pod", "lost-hub-0", "--wait=false")
    status = until(lab, "lost", in_state("Failed"), 180)
    failed = condition(status, "Failed")
    assert failed["reason"] == "HubLost"
    assert "PersistentVolumeClaim" in failed["message"]
    lab.run("delete", "trainingjob", "lost")


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("image", {"template.image": "atoll.dev/none:1"}, "its image cannot be had"),
        ("node", {"template.nodeSelector": {"gpu": "none"}}, "waits for a node"),
    ],
)
def test_what_a_job_waits_for_is_said(
    lab: Kubectl, name: str, spec: dict[str, Any], expected: str
) -> None:
    submit(lab, name, **{**ENSEMBLE, **spec})
    until(lab, name, lambda status: expected in json.dumps(status), 60)
    lab.run("delete", "trainingjob", name)


def test_a_mistake_in_the_data_ends_the_job_at_once(lab: Kubectl) -> None:
    submit(lab, "nodata", **{**ENSEMBLE, "data.source": "file:///data/none.npz"})
    status = until(lab, "nodata", in_state("Failed"), 90)
    failed = condition(status, "Failed")
    assert failed["reason"] == "PartitionFailed"
    assert "/data/none.npz does not exist: check the path" in failed["message"]
    lab.run("delete", "trainingjob", "nodata")


@pytest.mark.smoke
def test_what_the_types_refuse_is_told_with_every_problem(lab: Kubectl) -> None:
    submit(lab, "wrong", **{**ENSEMBLE, "islands.overrides": [{"island": 7}], "seed": 1})
    status = until(lab, "wrong", in_state("Failed"), 30)
    assert condition(status, "Accepted")["status"] == "False"
    assert "there is no island 7" in condition(status, "Accepted")["message"]
    lab.run("delete", "trainingjob", "wrong")


def test_a_name_as_long_as_may_be(lab: Kubectl) -> None:
    name = "n" * 40
    submit(lab, name, **ITERATIVE)
    until(lab, name, in_state("Complete"), 300)
    lab.run("delete", "trainingjob", name)


@pytest.mark.smoke
def test_a_job_that_is_deleted_leaves_nothing(lab: Kubectl) -> None:
    submit(lab, "gone", **LONG)
    until(lab, "gone", trains(0), 180)
    lab.run("delete", "trainingjob", "gone")
    kinds = "jobs,pods,statefulsets,services,configmaps,secrets,networkpolicies"
    deadline = time.monotonic() + 90
    while lab.run("get", kinds, "-l", "atoll.dev/job=gone", "-o", "name"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
