"""Jobs on a real cluster, by the chart's operator: the digests of a laptop, and faults that cost time."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import helm
import pytest
from atoll_runs import digests, run_to_end
from builders import job_document
from helm import Release
from kubectl import Kubectl

pytestmark = pytest.mark.timeout(900)

SMALL = {"template": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}}
"""Requests: several islands and jobs share the one node of a test."""
CHEAP = {"evaluation": {"samples": 64, "seeds": 1, "samplerSteps": 4, "strategies": ["Full"]}}
ENSEMBLE: Mapping[str, Any] = {
    **SMALL,
    **CHEAP,
    "islands.count": 2,
    "training.steps": 200,
    "training.checkpoint.everySeconds": 1,
    "strategy.expertEnsemble.router.learned.steps": 50,
}
LONG: Mapping[str, Any] = {**ENSEMBLE, "training.steps": 20_000}
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


@pytest.fixture(scope="module")
def lab(cluster: Kubectl, operator_image: str, worker_image: str) -> Iterator[Kubectl]:
    """A namespace with an operator of its own, in which only restricted pods are admitted."""
    name = f"lab-{uuid4().hex[:8]}"
    cluster.run("create", "namespace", name)
    cluster.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    found = Kubectl(cluster.program, cluster.kubeconfig, name)
    release = Release(found.kubeconfig, name)
    values = {
        "image": _image(operator_image),
        "worker": {"image": _image(worker_image)},
        "watchNamespaces": [name],
        "hubPollSeconds": 1,
    }
    release.install(values, "--take-ownership", "--wait", "--timeout", "120s")
    yield found
    found.tried("delete", "trainingjobs", "--all", "--wait=true", timeout=120)
    release.tried("uninstall")
    cluster.run("delete", "namespace", name, "--wait=false")


def _image(name: str) -> helm.Values:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}


def submit(lab: Kubectl, name: str, **spec: Any) -> None:
    body = job_document(**spec)
    body["metadata"]["name"] = name
    lab.apply(body)


def job(lab: Kubectl, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("get", "trainingjob", name, "-o", "json"))
    return found


def until(lab: Kubectl, name: str, so: Callable[[dict[str, Any]], bool], seconds: float) -> Any:
    """Wait until the status is so; say how it is if it never gets so."""
    deadline = time.monotonic() + seconds
    while not so(status := job(lab, name).get("status") or {}):
        assert time.monotonic() < deadline, json.dumps(status, indent=1)
        time.sleep(0.2)
    return status


def in_state(state: str) -> Callable[[dict[str, Any]], bool]:
    def so(status: dict[str, Any]) -> bool:
        assert state == "Failed" or status.get("state") != "Failed", json.dumps(status, indent=1)
        return bool(status.get("state") == state)

    return so


def bound(status: Mapping[str, Any]) -> dict[str, str]:
    """Every artifact's digest, without what a cluster alone keeps."""
    return {it["name"]: it["digest"] for it in status["artifacts"] if it["name"] != "page"}


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = [it for it in status["conditions"] if it["type"] == kind]
    return found[0] if found else {}


def island(status: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    found = [it for it in status.get("islands", ()) if it["island"] == number]
    return found[0] if found else {"step": 0, "steps": 0, "message": "", "restarts": 0}


def trains(number: int) -> Callable[[dict[str, Any]], bool]:
    """Whether an island is on its way, with a checkpoint behind it."""
    return lambda status: 0 < island(status, number)["step"] < island(status, number)["steps"]


def jobs_of(lab: Kubectl, name: str) -> dict[str, str]:
    """The Jobs of a TrainingJob, each with its uid."""
    found = json.loads(lab.run("get", "jobs", "-l", f"atoll.dev/job={name}", "-o", "json"))
    return {it["metadata"]["name"]: it["metadata"]["uid"] for it in found["items"]}


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


def test_a_job_that_is_deleted_leaves_nothing(lab: Kubectl) -> None:
    submit(lab, "gone", **LONG)
    until(lab, "gone", trains(0), 180)
    lab.run("delete", "trainingjob", "gone")
    kinds = "jobs,pods,statefulsets,services,configmaps,secrets,networkpolicies"
    deadline = time.monotonic() + 90
    while lab.run("get", kinds, "-l", "atoll.dev/job=gone", "-o", "name"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
