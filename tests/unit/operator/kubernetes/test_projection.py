"""What is kept of an object."""

import copy
from typing import Any

import pytest
from cluster_jobs import MERGING, blueprint, jobs
from recorded import RECORDED, pods

from atoll_operator.kubernetes.manifests.hub import hub_stateful_set
from atoll_operator.kubernetes.manifests.jobs import islands_job
from atoll_operator.kubernetes.projection import (
    indexes,
    project_hub,
    project_job,
    project_pod,
    seconds,
)

ALL_PODS = [(name, pod) for name, case in RECORDED.items() for pod in case["pods"]]


@pytest.mark.parametrize(
    ("name", "pod"), ALL_PODS, ids=[it["metadata"]["name"] for _, it in ALL_PODS]
)
def test_every_pod_is_kept_as_a_small_value(name: str, pod: dict[str, Any]) -> None:
    seen = project_pod(pod)
    assert seen is not None
    assert (seen.owner, seen.job, seen.namespace) == (name, "digits", "lab")
    assert hash(seen) == hash(project_pod(copy.deepcopy(pod)))


def without(document: Any, *keys: str) -> Any:
    changed = copy.deepcopy(document)
    for key in keys:
        changed.pop(key, None)
    return changed


def test_what_is_of_no_training_job_is_not_for_us() -> None:
    for project, name in ((project_job, "running"), (project_hub, "hub-ready")):
        owner = copy.deepcopy(RECORDED[name]["owner"])
        del owner["metadata"]["labels"]["atoll.dev/job"]
        assert project(owner) is None
    pod = copy.deepcopy(RECORDED["running"]["pods"][0])
    del pod["metadata"]["ownerReferences"]
    assert project_pod(pod) is None


def test_what_was_only_just_made_is_read() -> None:
    """Before any controller has written a status, and as the items of a list come."""
    for case in RECORDED.values():
        bare = without(case["owner"], "status", "kind", "apiVersion")
        assert (project_hub if case["owner"]["kind"] == "StatefulSet" else project_job)(bare)
        for it in case["pods"]:
            seen = project_pod(without(it, "status", "spec", "kind", "apiVersion"))
            assert seen is not None
            assert (seen.phase, seen.ending, seen.running_since) == ("Pending", None, None)


def test_what_the_manifests_make_is_what_is_looked_for() -> None:
    for document in jobs(blueprint(**{"islands.count": 2})):
        document["metadata"]["uid"] = "u"
        seen = project_job(document)
        assert seen is not None
        assert seen.count is None
        assert (seen.job, seen.role) == ("digits", document["metadata"]["labels"]["atoll.dev/role"])
        assert (seen.island is None) == (seen.role != "island")
    together = project_job(islands_job(blueprint(**MERGING)))
    assert together is not None
    assert (together.count, together.island, together.role) == (4, None, "island")
    assert together.max_failed_indexes == 0
    hub = project_hub(hub_stateful_set(blueprint(), replicas=0))
    assert hub is not None
    assert (hub.role, hub.replicas) == ("hub", 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", set()), ("0", {0}), ("1,3-5,7", {1, 3, 4, 5, 7}), ("0-2", {0, 1, 2})],
)
def test_indexes(text: str, expected: set[int]) -> None:
    assert indexes(text) == expected


def test_pods_that_the_controller_has_yet_to_count_count() -> None:
    owner = copy.deepcopy(RECORDED["restarting"]["owner"])
    owner["status"] |= {"failed": 1, "uncountedTerminatedPods": {"failed": ["u1", "u2"]}}
    seen = project_job(owner)
    assert seen is not None
    assert seen.failures == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("volume-missing", "Volumes"),
        ("claim-pending", "Claim"),
        ("claim-missing", ""),
        ("unschedulable", ""),
        ("image", ""),
        ("secret-missing", ""),
    ],
)
def test_what_a_pod_lacks_that_its_status_does_not_explain(name: str, expected: str) -> None:
    (seen,) = pods(name)
    assert seen.waiting is not None
    assert seen.waiting.lacks == expected


def test_a_pod_that_only_its_container_is_missing_of_lacks_no_volume() -> None:
    pod = copy.deepcopy(RECORDED["volume-missing"]["pods"][0])
    pod["status"]["conditions"].append({"type": "PodReadyToStartContainers", "status": "True"})
    seen = project_pod(pod)
    assert seen is not None
    assert seen.waiting is not None
    assert seen.waiting.lacks == ""


def test_a_pod_whose_claim_is_bound_for_a_node_has_none_yet() -> None:
    """As Kubernetes 1.34 shows it while a provisioner is at work: no condition at all."""
    pod = copy.deepcopy(RECORDED["volume-missing"]["pods"][0])
    pod["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    seen = project_pod(pod)
    assert seen is not None
    assert seen.waiting is not None
    assert seen.waiting.lacks == "Claim"


def test_a_job_that_was_told_to_end_says_so_and_not_how() -> None:
    owner = copy.deepcopy(RECORDED["quorum-lost"]["owner"])
    for condition in owner["status"]["conditions"]:
        condition["reason"] = "DeadlineExceeded"
        condition["message"] = "Job was active longer than specified deadline"
    seen = project_job(owner)
    assert seen is not None
    assert (seen.failed, seen.why_failed) == (True, "it was stopped, for the job has failed")


def test_an_ending_has_its_times_where_somebody_knows_them() -> None:
    pod = copy.deepcopy(RECORDED["out-of-memory"]["pods"][0])
    seen = project_pod(pod)
    assert seen is not None
    assert seen.ending is not None
    assert seen.ending.out_of_memory
    times = (seen.ending.began_at, seen.ending.ended_at)
    assert times == (seconds("2026-11-21T22:37:38Z"),) * 2
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    ended |= {"startedAt": "1970-01-01T00:00:00Z", "finishedAt": None, "reason": "StartError"}
    seen = project_pod(pod)
    assert seen is not None
    assert seen.ending is not None
    assert (seen.ending.began_at, seen.ending.ended_at) == (None, None)
    assert not seen.ending.out_of_memory
