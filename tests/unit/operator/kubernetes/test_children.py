"""What became of a child, from what a real cluster showed of it."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from recorded import RECORDED, hub, job, pods

from atoll_operator.kubernetes.children import child_of, children_of_islands, hub_child
from atoll_operator.kubernetes.projection import SeenPod, project_pod
from atoll_operator.plan.model import Child, ChildState


def child(name: str) -> Child:
    return child_of(job(name), pods(name))


def only(name: str) -> SeenPod:
    (pod,) = pods(name)
    return pod


def test_one_that_runs() -> None:
    since = only("running").running_since
    assert since is not None
    assert child("running") == Child(ChildState.RUNNING, since=since)


def test_one_that_is_done() -> None:
    assert child("succeeded") == Child(ChildState.SUCCEEDED, exit_code=0)
    finished = replace(job("succeeded"), complete=False)
    before_the_job_says_so = child_of(finished, pods("succeeded"))
    assert before_the_job_says_so.state is ChildState.RUNNING


def test_one_between_two_attempts() -> None:
    found = child("restarting")
    assert found.state is ChildState.RESTARTING
    assert found.restarts == job("restarting").failures
    assert (found.exit_code, found.message) == (1, "the hub did not answer")


def test_a_final_error_has_no_restarts() -> None:
    expected = Child(ChildState.FAILED, 0, 65, "data missing: /data/x.npz")
    assert child("final") == expected


def test_one_that_was_given_up_after_its_restarts() -> None:
    assert child("given-up") == Child(ChildState.FAILED, 1, 1, "RuntimeError: broken")


def test_one_whose_pods_are_gone_says_what_its_job_says() -> None:
    found = child_of(job("given-up"), [])
    message = "Job has reached the specified backoff limit"
    assert found == Child(ChildState.FAILED, 1, None, message)


def test_disruptions_do_not_count() -> None:
    found = child("disrupted")
    assert len(pods("disrupted")) > 1
    assert (found.state, found.restarts, found.exit_code) == (ChildState.RESTARTING, 0, 83)
    assert found.message == "told to stop; a checkpoint is saved"


def test_out_of_memory_names_the_limit() -> None:
    found = child("out-of-memory")
    assert (found.state, found.exit_code) == (ChildState.FAILED, 137)
    assert found.message == (
        "out of memory (OOMKilled): it took more than its limit of 64Mi: raise "
        "resources.limits.memory"
    )


WAITING = [
    ("image", "its image cannot be had: ImagePullBackOff: Back-off pulling image"),
    ("image-never", "its image cannot be had: ErrImageNeverPull: Container image"),
    ("image-name", "its image cannot be had: InvalidImageName: Failed to apply default"),
    ("unschedulable", "waits for a node: Unschedulable: 0/1 nodes are available: 1 Insufficient"),
    ("claim-missing", "waits for a node: Unschedulable: 0/1 nodes are available: persistentvolum"),
    ("claim-pending", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims"),
    ("secret-missing", 'its container cannot be started: CreateContainerConfigError: secret "not'),
    ("root", "cannot be started: CreateContainerConfigError: container's runAsUser breaks non-ro"),
    ("volume-missing", "its container is being made"),
    ("quota", "waits for its pod"),
    ("queued", "waits for the queue gpus to admit it"),
]


@pytest.mark.parametrize(("name", "expected"), WAITING)
def test_one_that_waits_says_for_what(name: str, expected: str) -> None:
    found = child(name)
    assert (found.state, found.restarts) == (ChildState.STARTING, 0)
    assert expected in found.message
    assert len(found.message) <= 512


def test_what_only_events_know_is_said_of_who_waits() -> None:
    refused = "its pod cannot be made: exceeded quota: compute"
    assert child_of(job("quota"), [], {"quota": refused}).message == refused
    missing = 'a volume cannot be mounted: configmap "nope" not found'
    told = {only("volume-missing").name: missing}
    assert child_of(job("volume-missing"), pods("volume-missing"), told).message == missing


def test_a_new_attempt_in_trouble_says_so_and_one_that_is_on_its_way_says_what_was_before() -> None:
    first = pods("given-up")[0]
    waiting = replace(only("unschedulable"), created_at=first.created_at + 60)
    going = replace(job("running"), failures=1)
    stuck = child_of(going, [waiting, first])
    assert (stuck.state, stuck.restarts, stuck.exit_code) == (ChildState.STARTING, 1, 1)
    assert stuck.message.startswith("waits for a node")
    coming = replace(only("volume-missing"), created_at=first.created_at + 60)
    again = child_of(going, [first, coming])
    assert again == Child(ChildState.RESTARTING, 1, 1, "RuntimeError: broken")
    running = replace(only("running"), created_at=first.created_at + 60)
    found = child_of(going, [running, first])
    assert found == Child(ChildState.RUNNING, 1, 1, since=running.running_since)


def test_trouble_of_a_pod_that_is_gone_troubles_nobody() -> None:
    stale = {"evicted-0": "a volume cannot be mounted", "running": "its pod cannot be made"}
    assert child_of(job("running"), pods("running"), stale).state is ChildState.RUNNING


def test_one_that_is_being_evicted_still_runs() -> None:
    found = child("evicted")
    assert (found.state, found.restarts) == (ChildState.RUNNING, 0)


def evicted(**status: Any) -> SeenPod:
    """By a node that is short of something: the shape of the kubelet's eviction manager."""
    body = copy.deepcopy(RECORDED["running"]["pods"][0])
    body["status"] = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on resource: ephemeral-storage. ",
        "conditions": [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": "The node was low on resource: ephemeral-storage. ",
            }
        ],
        **status,
    }
    seen = project_pod(body)
    assert seen is not None
    return seen


def test_an_eviction_by_a_node_is_told_and_does_not_count() -> None:
    found = child_of(job("evicted"), [evicted()])
    message = "Evicted: The node was low on resource: ephemeral-storage."
    assert found == Child(ChildState.RESTARTING, 0, None, message)
    state = {"terminated": {"exitCode": 137, "reason": "Error"}}
    container = {"name": "atoll", "state": state, "lastState": {}, "restartCount": 0}
    killed = child_of(job("evicted"), [evicted(containerStatuses=[container])])
    assert killed == Child(ChildState.RESTARTING, 0, 137, message)


def test_a_preemption_is_told_by_its_condition() -> None:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "default-scheduler: preempting to accommodate a higher priority pod",
    }
    pod = evicted(reason=None, message=None, conditions=[condition])
    assert pod.ending is not None
    assert pod.ending.disrupted
    assert pod.ending.message.startswith("PreemptionByScheduler: default-scheduler: preempting")


def test_one_that_is_stopped_runs_until_its_pod_has_ended() -> None:
    found = child("deleting")
    assert found.state is ChildState.RUNNING
    assert child_of(job("deleting"), []).state is ChildState.STOPPED


def test_one_that_a_queue_evicts_runs_until_its_pod_has_ended() -> None:
    queued = replace(job("queued"), name="running")
    assert child_of(queued, pods("running")).state is ChildState.RUNNING


def test_a_container_that_has_ended_before_its_pod_has_not_failed_yet() -> None:
    (pod,) = pods("final")
    ending = replace(pod, phase="Running")
    found = child_of(replace(job("final"), failed=False, failures=0), [ending])
    assert found.state is ChildState.RUNNING


def test_islands_of_one_job_each_for_itself() -> None:
    found = children_of_islands(job("islands"), pods("islands"))
    states = {index: it.state for index, it in found.items()}
    assert states == {
        0: ChildState.SUCCEEDED,
        1: ChildState.FAILED,
        2: ChildState.RESTARTING,
        3: ChildState.RUNNING,
        4: ChildState.RESTARTING,
    }
    assert found[1] == Child(ChildState.FAILED, 0, 65, "speaking")
    assert (found[2].restarts, found[2].exit_code, found[2].message) == (2, 1, "speaking")
    assert (found[4].restarts, found[4].exit_code) == (0, 83)


def test_islands_that_a_failed_job_took_along_have_failed_too() -> None:
    found = children_of_islands(job("quorum-lost"), pods("quorum-lost"))
    assert found[0].state is ChildState.SUCCEEDED
    assert (found[1].exit_code, found[1].message) == (65, "the loss is NaN")
    message = "Job has exceeded the specified maximal number of failed indexes"
    assert found[2] == Child(ChildState.FAILED, 0, message=message)


def test_islands_without_a_pod_wait_for_theirs() -> None:
    found = children_of_islands(job("islands"), [], {"islands": "its pod cannot be made: quota"})
    assert found[3] == Child(
        ChildState.STARTING, message="its pod cannot be made: quota", held=True
    )
    assert found.keys() == set(range(5))


def test_a_job_that_is_suspended_waits_for_whoever_did_that() -> None:
    held = Child(ChildState.STARTING, message="waits for whoever has suspended its Job", held=True)
    assert child("suspended") == held
    queued = replace(job("suspended"), queue="gpus")
    assert child_of(queued, []).message == "waits for the queue gpus to admit it"


def test_islands_that_a_queue_holds() -> None:
    held = replace(job("islands"), suspended=True, queue="gpus", completed_indexes="")
    found = children_of_islands(replace(held, failed_indexes=""), [])
    assert {it.message for it in found.values()} == {"waits for the queue gpus to admit it"}


def hub_of(name: str) -> Child | None:
    return hub_child(hub(name), pods(name))


def test_a_hub() -> None:
    ready = hub_of("hub-ready")
    assert ready is not None
    assert (ready.state, ready.restarts) == (ChildState.RUNNING, 0)
    assert only("hub-ready").ready
    starting = hub_of("hub-starting")
    assert starting is not None
    assert starting.state is ChildState.RUNNING
    assert not only("hub-starting").ready
    assert hub_of("hub-stopped") == Child(ChildState.STOPPED)
    assert hub_child(None, []) is None


def test_a_hub_that_waits_says_for_what() -> None:
    found = hub_of("hub-unschedulable")
    assert found is not None
    assert found.state is ChildState.STARTING
    assert "Insufficient cpu" in found.message
    unbound = {only("hub-unschedulable").name: "its volume cannot be had: no such class"}
    told = hub_child(hub("hub-unschedulable"), pods("hub-unschedulable"), unbound)
    assert told == Child(ChildState.STARTING, message="its volume cannot be had: no such class")
    told = hub_child(hub("hub-ready"), [], {"hub-ready": "its pod cannot be made: quota"})
    assert told == Child(ChildState.STARTING, message="its pod cannot be made: quota")


def test_a_hub_that_crashes_starts_again_and_one_that_would_fail_again_has_failed() -> None:
    crashing = hub_of("hub-crashing")
    assert crashing is not None
    assert crashing.state is ChildState.RESTARTING
    assert (crashing.exit_code, crashing.message) == (1, "a bug")
    assert crashing.restarts == only("hub-crashing").restarts > 0
    full = hub_of("hub-full")
    assert full is not None
    assert (full.state, full.exit_code) == (ChildState.FAILED, 74)
    assert full.message == "the disk is full"


def test_a_hub_that_was_told_to_end_runs_until_it_has() -> None:
    ended = replace(hub("hub-ready"), replicas=0)
    stopping = hub_child(ended, pods("hub-ready"))
    assert stopping is not None
    assert stopping.state is ChildState.RUNNING
    assert hub_child(ended, []) == Child(ChildState.STOPPED)
