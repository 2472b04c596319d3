"""Islands on a real cluster that are killed, drained, broken or kept waiting: what their job says, and does."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from kubectl import Document, Kubectl, phase
from lab import ENSEMBLE, SMALL, bound, condition, in_state, island, pods_of, runs, submit, until

from atoll_api.exit_codes import ExitCode

pytestmark = pytest.mark.timeout(600)

QUORATE: Mapping[str, Any] = {**ENSEMBLE, "islands.quorum": 1, "islands.maxRestarts": 1}
LIMIT = "96Mi"
SMALL_ISLAND = {"island": 1, "template": {"resources": {"limits": {"memory": LIMIT}}}}
TASK = """
import os
from atoll_api.spec.task import DiffusionTask as Settings
from atoll_worker.tasks.diffusion.task import DiffusionTask
if "LICENSE" in os.environ:
    raise RuntimeError("the license has expired")
class Task(DiffusionTask):
    def __init__(self):
        super().__init__(Settings())
"""
KEPT = "atoll.dev/kept-by-a-test"
"""A finalizer: of a pod that is drained nothing is left, not even how it ended."""


def test_out_of_memory_is_called_so_and_costs_restarts(lab: Kubectl) -> None:
    submit(lab, "starved", **{**QUORATE, "islands.overrides": [SMALL_ISLAND]})
    status = until(lab, "starved", in_state("Complete"), 300)
    assert condition(status, "Degraded")["reason"] == "IslandLost"
    assert (
        f"island-1 failed with exit code 137 (SIGKILL) after 1 restarts: out of memory (OOMKilled): "
        f"it took more than its limit of {LIMIT}: raise resources.limits.memory"
    ) in condition(status, "Degraded")["message"]
    assert (island(status, 1)["state"], island(status, 1)["restarts"]) == ("Failed", 1)
    endings = [_terminated(pod)["reason"] for pod in pods_of(lab, "starved", 1)]
    assert endings == ["OOMKilled", "OOMKilled"]
    lab.run("delete", "trainingjob", "starved")


def test_a_task_that_cannot_be_imported_is_not_tried_again(lab: Kubectl) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tasks"}}
    lab.apply({**config, "data": {"licensed.py": TASK}})
    broken = {"island": 1, "template": {"env": [{"name": "LICENSE", "value": "expired"}]}}
    template = {
        **SMALL["template"],
        "env": [{"name": "PYTHONPATH", "value": "/tasks"}],
        "volumes": [{"name": "tasks", "mountPath": "/tasks", "configMap": {"name": "tasks"}}],
    }
    custom = {"type": "Custom", "custom": {"entrypoint": "licensed:Task"}}
    spec = {"task": custom, "template": template, "islands.overrides": [broken]}
    submit(lab, "unlicensed", **{**QUORATE, **spec})
    status = until(lab, "unlicensed", in_state("Complete"), 300)
    assert (
        "island-1 failed with exit code 65: task.custom.entrypoint: importing licensed failed: "
        "RuntimeError: the license has expired"
    ) in condition(status, "Degraded")["message"]
    assert (island(status, 1)["state"], island(status, 1)["restarts"]) == ("Failed", 0)
    assert [_terminated(it)["exitCode"] for it in pods_of(lab, "unlicensed", 1)] == [ExitCode.FINAL]
    lab.run("delete", "trainingjob", "unlicensed")


def test_a_claim_that_is_not_there_is_named_and_waited_for(lab: Kubectl) -> None:
    claim = {"name": "data", "mountPath": "/data", "persistentVolumeClaim": {"claimName": "absent"}}
    submit(lab, "claims", **{**ENSEMBLE, "islands.template": {"volumes": [claim]}})

    def said(status: Mapping[str, Any]) -> bool:
        return 'persistentvolumeclaim "absent" not found' in island(status, 0)["message"]

    status = until(lab, "claims", said, 120)
    (pod,) = pods_of(lab, "claims", 0)
    made_at = datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()
    print(f"said {time.time() - made_at:.0f} s after the pod was made")  # noqa: T201 - a figure
    assert (island(status, 0)["state"], island(status, 0)["restarts"]) == ("Pending", 0)
    size = {"resources": {"requests": {"storage": "16Mi"}}, "accessModes": ["ReadWriteOnce"]}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    lab.apply({**kind, "metadata": {"name": "absent"}, "spec": size})
    status = until(lab, "claims", in_state("Complete"), 300)
    assert {it["restarts"] for it in status["islands"]} == {0}
    lab.run("delete", "trainingjob", "claims")


def test_a_storage_class_that_is_not_there_keeps_the_hub(lab: Kubectl) -> None:
    claim = {"size": "1Gi", "storageClassName": "absent"}
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": claim}
    submit(lab, "classless", **{**ENSEMBLE, "artifacts": {"storage": storage}})

    def said(status: dict[str, Any]) -> bool:
        waits = condition(status, "Running").get("message", "")
        return 'storageclass.storage.k8s.io "absent" not found' in waits

    status = until(lab, "classless", said, 120)
    assert condition(status, "Running")["reason"] == "StartingHub"
    assert status["state"] == "Pending"
    lab.run("delete", "trainingjob", "classless")


def test_a_quota_that_is_used_up_is_said_and_waited_for(lab: Kubectl) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "compute"}}
    lab.apply({**quota, "spec": {"hard": {"pods": "0"}}})
    counted = ("get", "resourcequota", "compute", "-o", "jsonpath={.status.hard.pods}")
    while lab.run(*counted) != "0":  # it holds from then on
        time.sleep(0.2)
    submit(lab, "crowded", **ENSEMBLE)

    def said(status: dict[str, Any]) -> bool:
        waits = condition(status, "Running").get("message", "")
        return "its pod cannot be made: exceeded quota: compute" in waits

    status = until(lab, "crowded", said, 60)
    assert condition(status, "Running")["reason"] == "StartingHub"
    lab.run("delete", "resourcequota", "compute")
    status = until(lab, "crowded", in_state("Complete"), 300)
    assert {it["restarts"] for it in status["islands"]} == {0}
    lab.run("delete", "trainingjob", "crowded")


def test_an_island_that_is_drained_saves_its_work_and_goes_on(
    lab: Kubectl, ensemble: Mapping[str, Any], ensemble_digests: Mapping[str, str]
) -> None:
    submit(lab, "drained", **ensemble)
    until(lab, "drained", runs(1), 180)
    (pod,) = pods_of(lab, "drained", 1)
    name = pod["metadata"]["name"]
    drain = draining(lab, pod["spec"]["nodeName"], "atoll.dev/job=drained,atoll.dev/island=1")
    with kept(lab, name), drain as going:
        ended = lab.until(name, lambda it: phase(it) == "Failed")
        assert _terminated(ended)["exitCode"] == ExitCode.DISRUPTED
        assert "EvictionByEvictionAPI" in json.dumps(ended["status"]["conditions"])
        until(lab, "drained", lambda it: "unschedulable" in island(it, 1)["message"], 60)
        let_go(lab, name)
        assert going.wait(60) == 0
    status = until(lab, "drained", in_state("Complete"), 300)
    assert bound(status).items() <= ensemble_digests.items()
    assert island(status, 1)["restarts"] == 0
    lab.run("delete", "trainingjob", "drained")


@contextmanager
def kept(lab: Kubectl, pod: str) -> Iterator[None]:
    """A pod that is there when it is deleted, to be looked at."""
    patch = [{"op": "add", "path": "/metadata/finalizers/-", "value": KEPT}]
    lab.run("patch", "pod", pod, "--type=json", "-p", json.dumps(patch))
    try:
        yield
    finally:
        let_go(lab, pod)


def let_go(lab: Kubectl, pod: str) -> None:
    """Of a pod that was kept, if it is still there."""
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [KEPT]}}
    lab.tried("patch", "pod", pod, "-p", json.dumps(body))


@contextmanager
def draining(lab: Kubectl, node: str, pods: str) -> Iterator["subprocess.Popen[bytes]"]:
    """As an administrator drains a node of some pods; nothing new is placed on it meanwhile."""
    options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={pods}")
    command = [lab.program, f"--kubeconfig={lab.kubeconfig}", "drain", node, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as drain:
        try:
            yield drain
        finally:
            drain.kill()
            lab.run("uncordon", node)


def _terminated(pod: Document) -> Mapping[str, Any]:
    state: Mapping[str, Any] = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state
