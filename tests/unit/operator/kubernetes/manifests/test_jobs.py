"""The Jobs of steps, and the one of islands that merge."""

from typing import Any

import pytest
from cluster_jobs import (
    MERGING,
    UID,
    blueprint,
    container_of,
    env_of,
    jobs,
    named,
    pod_of,
)

from atoll_operator.kubernetes.manifests.blueprint import Blueprint, Json
from atoll_operator.kubernetes.manifests.jobs import islands_job, islands_service

DISRUPTED = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}


def job_of(drawn: Blueprint, step: str) -> Json:
    return {it["metadata"]["name"]: it for it in jobs(drawn)}[f"digits-{step}"]


def exit_codes(action: str, *codes: int) -> Json:
    values = {"containerName": "atoll", "operator": "In", "values": list(codes)}
    return {"action": action, "onExitCodes": values}


def test_each_step_of_an_ensemble_is_a_job() -> None:
    names = [it["metadata"]["name"] for it in jobs(blueprint(**{"islands.count": 2}))]
    steps = ["partition", "island-0", "island-1", "router", "evaluate"]
    assert names == [f"digits-{step}" for step in steps]


def test_the_job_controller_retries_and_final_errors_come_first() -> None:
    spec = job_of(blueprint(**{"islands.maxRestarts": 7}), "island-3")["spec"]
    assert spec["backoffLimit"] == 7
    rules = spec["podFailurePolicy"]["rules"]
    assert rules == [exit_codes("FailJob", 65, 73, 74), DISRUPTED, exit_codes("Ignore", 83)]
    assert spec["podReplacementPolicy"] == "Failed"
    assert pod_of({"spec": spec})["restartPolicy"] == "Never"


def test_what_others_decide_is_left_to_them() -> None:
    """A queue owns `suspend`, the operator what is removed, the plan the deadline."""
    for it in (*jobs(blueprint()), *jobs(blueprint(**MERGING))):
        kept_out = {"suspend", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "selector"}
        assert not kept_out & it["spec"].keys()


def test_islands_that_merge_are_one_job_with_a_budget_each() -> None:
    islands = {"count": 4, "quorum": 3, "maxRestarts": 2}
    drawn = blueprint(**{**MERGING, "islands": islands})
    names = [it["metadata"]["name"] for it in jobs(drawn)]
    assert names == [f"digits-{it}" for it in ("partition", "merge", "evaluate", "islands")]
    spec = islands_job(drawn)["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (2, 1)
    assert "backoffLimit" not in spec
    rules = spec["podFailurePolicy"]["rules"]
    assert rules == [exit_codes("FailIndex", 65, 73, 74), DISRUPTED, exit_codes("Ignore", 83)]


@pytest.mark.parametrize("step", ["partition", "island-3", "router", "evaluate"])
def test_a_worker_is_told_its_step(step: str) -> None:
    document = job_of(blueprint(), step)
    container = container_of(document)
    assert container["command"] == ["python", "-m", "atoll_worker"]
    assert container["args"][:4] == ["--job", "/etc/atoll/job/job.json", "--step", step]
    assert container["args"][4:] == ["--metrics-port", "9464"]
    assert env_of(document)["ATOLL_STEP"] == step


def test_an_indexed_worker_is_told_by_its_index() -> None:
    document = islands_job(blueprint(**MERGING))
    assert container_of(document)["args"][3] == "island-$(JOB_COMPLETION_INDEX)"
    env = env_of(document)
    assert env["ATOLL_STEP"] == "island-$(JOB_COMPLETION_INDEX)"
    path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert env["JOB_COMPLETION_INDEX"] == {"fieldRef": {"fieldPath": path}}
    assert next(iter(env)) == "JOB_COMPLETION_INDEX", "values name only what stands before them"


def test_indexed_islands_have_names_and_a_port() -> None:
    drawn = blueprint(**MERGING)
    service = islands_service(drawn)
    assert service["metadata"]["name"] == pod_of(islands_job(drawn))["subdomain"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = islands_job(drawn)["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    ports = {it["name"]: it["containerPort"] for it in container_of(islands_job(drawn))["ports"]}
    assert ports == {"tls-exchange": 7444, "metrics": 9464}
    assert service["spec"]["ports"][0]["targetPort"] in ports


def test_islands_of_an_ensemble_listen_to_nobody() -> None:
    (port,) = container_of(job_of(blueprint(), "island-0"))["ports"]
    assert (port["name"], port["containerPort"]) == ("metrics", 9464)


def test_no_probe_ends_who_trains() -> None:
    for it in (*jobs(blueprint()), *jobs(blueprint(**MERGING))):
        assert not [key for key in container_of(it) if key.endswith("Probe")]


QUEUED = {"kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/priority-class": "low"}


@pytest.mark.parametrize(
    ("labels", "passed"),
    [
        ({}, {}),
        ({"team": "a", **QUEUED}, QUEUED),
        ({**QUEUED, "kueue.x-k8s.io/prebuilt-workload-name": "w"}, {}),
        ({"not-kueue.x-k8s.io/a": "b"}, {}),
    ],
)
def test_labels_for_a_queue_are_passed_to_jobs(
    labels: dict[str, str], passed: dict[str, str]
) -> None:
    plain = blueprint(**MERGING)
    for document, bare in zip(
        jobs(Blueprint(plain.resolved, plain.settings, labels)), jobs(plain), strict=True
    ):
        found, without = document["metadata"]["labels"], bare["metadata"]["labels"]
        assert {key: it for key, it in found.items() if key not in without} == passed
        assert document["spec"] == bare["spec"], "a queue goes by the Job, not by its pods"


def test_a_job_belongs_to_its_training_job() -> None:
    (owner,) = islands_job(blueprint(**MERGING))["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "TrainingJob",
        "name": "digits",
        "uid": UID,
        "controller": True,
        "blockOwnerDeletion": True,
    }


LONGEST: dict[str, Any] = {"islands.count": 1000, "partition.featureClusters.fineClusters": 1000}


@pytest.mark.parametrize("spec", [LONGEST, {**MERGING, "islands.count": 1000}])
def test_the_longest_names_are_labels_of_a_domain_name(spec: dict[str, Any]) -> None:
    drawn = named("a" * 40, **spec)
    for document in jobs(drawn):
        # Of an Indexed Job: plus the index, as the name of a host.
        assert len(document["metadata"]["name"]) + len("-999") <= 63
        labels = document["metadata"]["labels"] | document["spec"]["template"]["metadata"]["labels"]
        assert all(len(value) <= 63 for value in labels.values())


def test_a_thousand_islands_that_merge_are_a_small_job() -> None:
    drawn = blueprint(**{**MERGING, "islands.count": 1000})
    assert len(str(islands_job(drawn))) < 8_000
