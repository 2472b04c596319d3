"""Whose log a pod is, and why there is none."""

from typing import Any

import pytest
from submitted_jobs import FAILED, LAB, RUNNING, lab, says, submitted

from atoll_api import names
from atoll_cli.cluster import jobs
from atoll_cli.cluster.kubectl import Kubectl
from atoll_cli.cluster.logs import pods_of, show, steps_of
from atoll_cli.errors import CliError

KUBECTL = Kubectl("/bin/false", LAB)


def pod(name: str, labels: dict[str, str], created: str = "", **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels, "creationTimestamp": created}
    return {"metadata": metadata, "status": status}


def island(name: str, number: int, created: str, **status: Any) -> dict[str, Any]:
    labels = {names.LABEL_ROLE: "island", names.LABEL_ISLAND: str(number)}
    return pod(name, labels, created, **status)


def test_pods_in_the_order_of_their_steps_and_attempts() -> None:
    indexed = {names.LABEL_ROLE: "island", names.LABEL_COMPLETION_INDEX: "10"}
    found = pods_of(
        [
            pod("evaluate", {names.LABEL_ROLE: "evaluate"}),
            pod("of-a-queue", {}),
            pod("indexed", indexed),
            island("again", 2, "2026-01-02"),
            island("first", 2, "2026-01-01"),
            pod("hub-0", {names.LABEL_ROLE: "hub"}),
        ]
    )
    assert [(it.name, it.step) for it in found] == [
        ("hub-0", "hub"),
        ("first", "island-2"),
        ("again", "island-2"),
        ("indexed", "island-10"),
        ("evaluate", "evaluate"),
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, "its pod is being prepared"),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "ImagePullBackOff",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no CPU"}]},
            "no CPU",
        ),
    ],
)
def test_what_a_pod_without_a_log_waits_for(status: dict[str, Any], expected: str) -> None:
    (found,) = pods_of([island("a", 0, "", phase="Pending", **status)])
    assert (found.has_log, found.why_waiting) == (False, expected)


def test_a_hub_that_was_started_again_in_its_pod_has_another_log() -> None:
    labels = {names.LABEL_ROLE: "hub"}
    one, two = (
        pods_of([pod("hub-0", labels, phase="Running", containerStatuses=[{"restartCount": it}])])
        for it in (0, 1)
    )
    assert one[0].has_log
    assert one[0].key != two[0].key


async def test_every_step_of_the_job_can_be_asked_for() -> None:
    api = lab()
    submitted(api, islands={"count": 2})
    steps = steps_of(await jobs.read(api, LAB, "digits"), [])
    assert steps == ["hub", "partition", "island-0", "island-1", "evaluate", "router"]


async def test_a_job_of_another_release_has_the_steps_that_its_pods_say() -> None:
    api = lab()
    submitted(api, novelty={})
    found = await jobs.read(api, LAB, "digits")
    assert steps_of(found, pods_of([island("a", 7, "")])) == ["island-7"]


async def test_no_logs_says_why() -> None:
    api = lab()
    submitted(api)
    with pytest.raises(CliError, match="no logs: the job is Pending"):
        await show(api, KUBECTL, "digits", None)
    says(api, RUNNING)
    with pytest.raises(CliError, match="no logs: router: waits for a node"):
        await show(api, KUBECTL, "digits", "router")
    says(api, FAILED)
    with pytest.raises(CliError, match="no logs: island-0: its pod is gone"):
        await show(api, KUBECTL, "digits", "islands")
