"""Seeded fault plans over jobs on a real cluster: the digests of a laptop, nothing twice, nothing left.

make cluster-test CLUSTER_TESTS="tests/cluster/test_fault_matrix.py --fault-plans 40"
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from atoll_runs import digests, run_to_end
from cluster_faults import Stage
from cluster_machine import Machine, made
from cluster_plans import COUNT, JOBS, ClusterPlan, draw
from kubectl import Kubectl
from lab import bound, condition, submit, until

pytestmark = [pytest.mark.smoke, pytest.mark.timeout(900)]

SEEDS = tuple(range(COUNT))
SHORT = (5,)
MADE = ("assignment", "experts/", "router", "merged", "report")
"""What the steps of a job are for: all of it is in the status in the end."""

Calm = Callable[[str], Mapping[str, str]]


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What each job comes to on a laptop, where nothing happens to it."""
    known: dict[str, Mapping[str, str]] = {}

    def of(job: str) -> Mapping[str, str]:
        if job not in known:
            folder: Path = tmp_path_factory.mktemp(f"calm-{job}")
            known[job] = digests(run_to_end(folder, **JOBS[job]))
        return known[job]

    return of


def test_a_job_holds_what_it_promises(
    seed_of_cluster: int,
    lab: Kubectl,
    machine: Machine,
    calm: Calm,
    record_property: Callable[[str, object], None],
) -> None:
    plan, name = draw(seed_of_cluster), f"faults-{seed_of_cluster}"
    expected, requests = calm(plan.job), machine.audit(lab.namespace)
    stage = Stage(lab, machine, name)
    submit(lab, name, **JOBS[plan.job])
    for fault in plan.faults:
        stage.play(fault)
    struck_at = time.monotonic()
    status = until(lab, name, lambda it: it.get("state") in ("Complete", "Failed"), 420)
    seconds = time.monotonic() - struck_at
    record_property(
        "fault",
        json.dumps(
            [
                seed_of_cluster,
                plan.job,
                "; ".join(stage.struck),
                status["state"],
                f"{seconds:.0f} s",
            ]
        ),
    )
    said = f"{plan}\n{stage.struck}\n{json.dumps(status, indent=1)}"
    assert status["state"] == "Complete", said
    assert condition(status, "Degraded").get("status") != "True", said
    assert bound(status).items() <= expected.items(), said
    assert {it for it in expected if it.startswith(MADE)} <= bound(status).keys(), said
    twice = {it for it, times in made(requests, name).items() if times > 1}
    assert twice <= may_be_made_again(plan, name), said
    lab.run("delete", "trainingjob", name)
    assert_nothing_is_left(lab, name)


def may_be_made_again(plan: ClusterPlan, name: str) -> set[str]:
    """Jobs that were deleted, or suspended with all others; and pods, which their Jobs make."""
    again = {f"jobs/{name}-{it.target}" for it in plan.faults if it.kind == "delete-job"}
    if any(it.kind == "suspend" for it in plan.faults):
        again |= {f"jobs/{name}-{step}" for step in ("partition", "islands", "router", "merge")}
        again |= {f"jobs/{name}-island-{i}" for i in range(3)} | {f"jobs/{name}-evaluate"}
    deleted = any(
        it.kind in ("delete-pod", "suspend") and it.target in ("hub", "job") for it in plan.faults
    )
    return again | ({f"pods/{name}-hub-0"} if deleted else set())


def assert_nothing_is_left(lab: Kubectl, name: str) -> None:
    """Of a job that is deleted: the cluster collects what it owned, and the operator makes nothing anew."""
    kinds = (
        "jobs,pods,services,secrets,configmaps,statefulsets,persistentvolumeclaims,networkpolicies"
    )
    deadline = time.monotonic() + 120
    while left := _left(lab, kinds, name):
        assert time.monotonic() < deadline, left
        time.sleep(1)


def _left(lab: Kubectl, kinds: str, name: str) -> list[str]:
    found: dict[str, Any] = json.loads(
        lab.run("get", kinds, "-l", f"atoll.dev/job={name}", "-o", "json")
    )
    return [f"{it['kind']}/{it['metadata']['name']}" for it in found["items"]]
