"""Whole jobs through the operator, in memory: it may die at any request, and nothing is made twice."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from builders import job_document
from kube_objects import core_event
from kube_story import NAMESPACE, Cluster, OperatorProcess, run_until, running
from virtual_time import in_virtual_time

from atoll_api.names import Ref
from atoll_api.status import Condition
from atoll_operator.errors import ConflictError, TooManyRequestsError, UnavailableError
from atoll_operator.kubernetes import controller
from atoll_operator.kubernetes.api import Json, Key, Resource
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.faults import DropWatches, Fault, Faults, KilledError, When
from atoll_operator.kubernetes.resources import (
    CONFIG_MAPS,
    CORE_EVENTS,
    EVENTS,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    SERVICES,
    STATEFUL_SETS,
    TRAINING_JOBS,
)
from atoll_operator.plan.model import Binding

ENSEMBLE = {"islands.count": 2}
MERGING = {
    "islands.count": 3,
    "task": {"type": "Classification"},
    "strategy": {"type": "IterativeMerge"},
}
ENOUGH = 120.0
KINDS = (CONFIG_MAPS, JOBS, NETWORK_POLICIES, SERVICES, STATEFUL_SETS)


async def story(cluster: Cluster, faults: Faults = ()) -> FakeApi:
    """One operator runs a job to its end, or dies."""
    api = FakeApi(cluster.server, faults)
    assert await run_until(cluster, OperatorProcess(cluster, api), "Complete", ENOUGH)
    return api


def objects_of(cluster: Cluster) -> Counter[str]:
    """What there is; names of Secrets differ from run to run."""
    return Counter(
        f"{kind.kind} {key.name.partition('-job-')[0]}"
        for kind in KINDS
        for key in cluster.server.objects(kind)
    )


@pytest.mark.parametrize("spec", [ENSEMBLE, MERGING], ids=["ensemble", "merging"])
@in_virtual_time
async def test_a_job_runs_to_its_end(spec: dict[str, Any]) -> None:
    cluster = Cluster()
    cluster.submit(job_document(**spec))
    await story(cluster)
    jobs = {key.name for key in cluster.server.objects(JOBS)}
    islands = {f"digits-island-{i}" for i in range(2)}
    others = {f"digits-{it}" for it in ("partition", "router", "evaluate")}
    merging = {f"digits-{it}" for it in ("partition", "islands", "merge", "evaluate")}
    assert jobs == (merging if spec is MERGING else islands | others)
    (hub,) = cluster.server.objects(STATEFUL_SETS).values()
    assert hub["spec"]["replicas"] == 1, "artifacts are read from it"
    status = cluster.job().status
    assert status is not None
    assert status.observed_generation == 1
    assert {it.type for it in status.conditions if it.status == "True"} == {"Accepted", "Complete"}


@pytest.mark.parametrize("spec", [ENSEMBLE, MERGING], ids=["ensemble", "merging"])
@pytest.mark.parametrize("when", list(When))
@pytest.mark.slow
def test_whoever_dies_at_any_request_is_followed_by_one_who_finishes(
    spec: dict[str, Any], when: When
) -> None:
    calm, asked = Cluster(), 0

    @in_virtual_time
    async def undisturbed() -> None:
        nonlocal asked
        calm.submit(job_document(**spec))
        asked = len((await story(calm)).requests)

    undisturbed()
    for at in range(asked):

        @in_virtual_time
        async def killed(at: int = at) -> None:
            cluster = Cluster()
            cluster.submit(job_document(**spec))
            with suppress(KilledError, BaseExceptionGroup):  # at the last it may go unnoticed
                await story(cluster, (Fault(at, KilledError(), when),))
                assert at > asked - 5, at
            await story(cluster)
            assert objects_of(cluster) == objects_of(calm), at
            assert cluster.server.objects(TRAINING_JOBS).keys() == {Key(NAMESPACE, "digits")}

        killed()


@pytest.mark.parametrize(
    "error",
    [
        ConflictError("changed"),
        TooManyRequestsError("later", retry_after_seconds=1.0),
        UnavailableError("no answer"),
    ],
    ids=lambda it: type(it).__name__,
)
@pytest.mark.parametrize("when", list(When))
@in_virtual_time
async def test_refusals_cost_time_and_nothing_else(error: Any, when: When) -> None:
    calm, cluster = Cluster(), Cluster()
    for each in (calm, cluster):
        each.submit(job_document(**ENSEMBLE))
    asked = len((await story(calm)).requests)
    faults = tuple(Fault(at, error, when) for at in range(4, asked, 3))
    await story(cluster, faults)
    assert objects_of(cluster) == objects_of(calm)


@in_virtual_time
async def test_the_first_step_does_not_wait_for_the_hub_and_the_others_do() -> None:
    cluster = Cluster()
    cluster.hubs.silent = True
    cluster.submit(job_document(**ENSEMBLE))
    process = OperatorProcess(cluster, FakeApi(cluster.server))
    assert not await run_until(cluster, process, "Complete", 20.0)
    assert [key.name for key in cluster.server.objects(JOBS)] == ["digits-partition"]


@in_virtual_time
async def test_a_small_job_costs_few_writes() -> None:
    cluster = Cluster()
    cluster.submit(job_document(**{"islands.count": 1}))
    asked = (await story(cluster)).requests
    reads = {"get", "list", "watch"}
    written = [it for it in asked if it.verb not in reads and it.resource != EVENTS.plural]
    assert len(written) <= 16, Counter(f"{it.verb} {it.resource}" for it in written)


@in_virtual_time
async def test_what_the_cluster_does_not_take_is_told_until_it_does() -> None:
    words = 'admission webhook "policy" denied the request: no GPUs on Sundays'
    sunday = True

    def refuse(resource: Resource, new: Json, _old: Json | None) -> str:
        return words if sunday and resource == JOBS and "island" in new["metadata"]["name"] else ""

    cluster = Cluster(FakeServer(check=refuse))
    cluster.submit(job_document(**ENSEMBLE))
    process = OperatorProcess(cluster, FakeApi(cluster.server))
    assert not await run_until(cluster, process, "Complete", 30.0)
    status = cluster.job().status
    assert status is not None
    told = {it.type: (it.status, it.reason) for it in status.conditions}
    assert told == {"Accepted": ("True", "Valid"), "Running": ("False", "ObjectRefused")}
    assert any(words in it.message for it in status.conditions)
    version = cluster.job().resource_version
    assert not await run_until(cluster, process, "Complete", 30.0)
    assert cluster.job().resource_version == version, "it is said once"
    sunday = False
    assert await run_until(cluster, process, "Complete", ENOUGH)


@in_virtual_time
async def test_watches_that_break_lose_nothing() -> None:
    cluster = Cluster()
    cluster.submit(job_document(**ENSEMBLE))
    await story(cluster, tuple(DropWatches(at) for at in range(5, 60, 5)))


@in_virtual_time
async def test_a_job_is_suspended_and_goes_on() -> None:
    cluster = Cluster(held={"digits-island-1"})
    cluster.submit(job_document(**ENSEMBLE))
    process = OperatorProcess(cluster, FakeApi(cluster.server))
    assert not await run_until(cluster, process, "Complete", 20.0)
    _change(cluster, suspend=True)
    assert await run_until(cluster, _another(cluster), "Suspended", ENOUGH)
    assert Key(NAMESPACE, "digits-island-1") not in cluster.server.objects(JOBS)
    cluster.held.clear()
    _change(cluster, suspend=False)
    assert await run_until(cluster, _another(cluster), "Complete", ENOUGH)


@in_virtual_time
async def test_a_job_that_begins_suspended_makes_nothing() -> None:
    cluster = Cluster()
    cluster.submit(job_document(**ENSEMBLE, suspend=True))
    assert await run_until(cluster, _another(cluster), "Suspended", ENOUGH)
    assert not objects_of(cluster)


@in_virtual_time
async def test_an_island_that_is_given_up_fails_the_job() -> None:
    cluster = Cluster(failing={"digits-island-1"})
    cluster.submit(job_document(**ENSEMBLE))
    assert await run_until(cluster, _another(cluster), "Failed", ENOUGH)
    failed = _condition(cluster, "Failed")
    assert failed.reason == "QuorumLost"
    assert "island-1" in failed.message


@pytest.mark.parametrize(("is_bound", "state"), [(True, "Running"), (False, "Failed")])
@in_virtual_time
async def test_a_status_that_tells_of_more_than_was_heard_makes_it_ask(
    *, is_bound: bool, state: str
) -> None:
    """Another operator has heard more, and written it; or what was bound is gone with the hub."""
    cluster = Cluster(held={"digits-island-0", "digits-island-1"})
    cluster.submit(job_document(**ENSEMBLE))
    async with running(cluster):
        await asyncio.sleep(20)
        key = Key(NAMESPACE, "digits")
        job = cluster.server.objects(TRAINING_JOBS)[key]
        artifact = {"name": "experts/0", "digest": "blake3:0", "sizeBytes": 1, "parents": []}
        told = [*job["status"]["artifacts"], artifact]
        if is_bound:
            (bound,) = cluster.hubs.bound.values()
            bound[Ref("experts/0")] = Binding("blake3:0", 1)
        cluster.server.put(TRAINING_JOBS, {**job, "status": {**job["status"], "artifacts": told}})
        await asyncio.sleep(20)
    status = cluster.job().status
    assert status is not None
    assert status.state == state
    assert is_bound or _condition(cluster, "Failed").reason == "HubLost"


@in_virtual_time
async def test_why_a_pod_is_refused_is_told_within_ten_seconds_and_while_it_is() -> None:
    cluster = Cluster(held={"digits-partition"})
    cluster.submit(job_document(**ENSEMBLE))
    async with running(cluster):
        await asyncio.sleep(20)
        assert _partition(cluster) == "waits for its pod"
        _refuse_pods(cluster, "digits-partition", attempt=1)
        await asyncio.sleep(10)
        assert _partition(cluster) == "its pod cannot be made: exceeded quota: compute"
        version = cluster.job().resource_version
        for attempt in range(2, 8):
            _refuse_pods(cluster, "digits-partition", attempt)
            await asyncio.sleep(10)
        assert cluster.job().resource_version == version, "the same reason is no news"
        cluster.held.clear()
        await asyncio.sleep(10)
        assert _partition(cluster) == ""


def _partition(cluster: Cluster) -> str:
    status = cluster.job().status
    assert status is not None
    return next(it.message for it in status.steps if it.name == "partition")


def _refuse_pods(cluster: Cluster, job: str, attempt: int) -> None:
    """Every attempt is of another pod, and so another event."""
    told = core_event(
        Key(NAMESPACE, f"{job}.{attempt}"),
        "Job",
        name=job,
        uid=cluster.server.objects(JOBS)[Key(NAMESPACE, job)]["metadata"]["uid"],
        reason="FailedCreate",
        message=f'Error creating: pods "{job}-{attempt}" is forbidden: exceeded quota: compute',
        at=f"2026-11-22T01:23:{attempt:02}Z",
    )
    cluster.server.put(CORE_EVENTS, told)


ISLANDS = Key(NAMESPACE, "digits-islands")


async def _islands_running(cluster: Cluster) -> None:
    """Islands of one Job, each in a pod."""
    await asyncio.sleep(10)
    for index in range(3):
        cluster.put_pod(cluster.server.objects(JOBS)[ISLANDS], index)
    await asyncio.sleep(5)


@in_virtual_time
async def test_a_job_controller_that_ends_the_islands_is_left_to_it_so_their_logs_stay() -> None:
    cluster = Cluster(held={"digits-islands", "digits-merge"})
    cluster.submit(job_document(**MERGING))
    async with running(cluster):
        await _islands_running(cluster)
        body = cluster.server.objects(JOBS)[ISLANDS]
        assert body["spec"]["maxFailedIndexes"] == 0
        why = {"type": "FailureTarget", "status": "True", "message": "exceeded failed indexes"}
        cluster.server.put(
            JOBS, {**body, "status": {"failedIndexes": "1", "failed": 1, "conditions": [why]}}
        )
        await asyncio.sleep(10)
        status = cluster.job().status
        assert status is not None
        assert status.state == "Failed"
        (failed,) = (it for it in status.conditions if it.type == "Failed")
        assert failed.reason == "QuorumLost"
        assert "activeDeadlineSeconds" not in cluster.server.objects(JOBS)[ISLANDS]["spec"]
        assert Key(NAMESPACE, "digits-islands-1") in cluster.server.objects(PODS)


@in_virtual_time
async def test_islands_of_a_job_that_has_failed_otherwise_are_ended_and_their_logs_stay() -> None:
    cluster = Cluster(held={"digits-islands"}, failing={"digits-merge"})
    cluster.submit(job_document(**MERGING))
    async with running(cluster):
        await _islands_running(cluster)
        status = cluster.job().status
        assert status is not None
        assert status.state == "Failed"
        assert cluster.server.objects(JOBS)[ISLANDS]["spec"]["activeDeadlineSeconds"] == 1
        assert Key(NAMESPACE, "digits-islands-1") in cluster.server.objects(PODS)


@in_virtual_time
async def test_more_islands_may_fail_once_the_quorum_falls() -> None:
    cluster = Cluster(held={"digits-islands", "digits-merge"})
    cluster.submit(job_document(**MERGING))
    async with running(cluster):
        await _islands_running(cluster)
        assert cluster.server.objects(JOBS)[ISLANDS]["spec"]["maxFailedIndexes"] == 0
        _change(cluster, islands={"quorum": 1})
        await asyncio.sleep(5)
        assert cluster.server.objects(JOBS)[ISLANDS]["spec"]["maxFailedIndexes"] == 2


@in_virtual_time
async def test_a_queue_admits_a_job_when_it_likes() -> None:
    """As Kueue does: its webhook suspends each Job with a label, and nobody else lets it go."""
    cluster = Cluster(held={"digits-partition"})
    document = job_document(**ENSEMBLE)
    document["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
    cluster.submit(document)
    process = _another(cluster)
    assert not await run_until(cluster, process, "Complete", 20.0)
    (job,) = cluster.server.objects(JOBS).values()
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    cluster.server.put(JOBS, {**job, "spec": {**job["spec"], "suspend": True}})
    assert not await run_until(cluster, _another(cluster), "Complete", 20.0)
    (held,) = cluster.server.objects(JOBS).values()
    assert held["spec"]["suspend"], "the operator does not admit it"
    status = cluster.job().status
    assert status is not None
    (partition,) = (it for it in status.steps if it.name == "partition")
    assert partition.message == "waits for the queue gpus to admit it"
    assert status.state == "Pending"
    assert _condition(cluster, "Running").reason == "Waiting"
    cluster.server.put(JOBS, {**held, "spec": {**held["spec"], "suspend": False}})
    cluster.held.clear()
    assert await run_until(cluster, _another(cluster), "Complete", ENOUGH)


@in_virtual_time
async def test_what_is_probably_not_meant_is_told_where_the_job_is_accepted() -> None:
    cluster = Cluster()
    store = {"type": "ObjectStore", "objectStore": {"url": "s3://bucket"}}
    cluster.submit(job_document(**ENSEMBLE, artifacts={"storage": store}))
    assert await run_until(cluster, _another(cluster), "Running", ENOUGH)
    accepted = _condition(cluster, "Accepted")
    assert accepted.status == "True"
    assert "; warning: spec.network.egress: on a cluster" in accepted.message


@in_virtual_time
async def test_a_job_with_problems_is_told_all_of_them_and_starts_nothing() -> None:
    cluster = Cluster()
    cluster.submit(job_document(**{"islands.quorum": 9, "islands.overrides": [{"island": 7}]}))
    assert await run_until(cluster, _another(cluster), "Failed", ENOUGH)
    accepted = _condition(cluster, "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "Invalid")
    assert "islands.quorum" in accepted.message
    assert "there is no island 7" in accepted.message
    assert not objects_of(cluster)


@in_virtual_time
async def test_a_job_of_another_manager_is_left_alone() -> None:
    cluster = Cluster()
    cluster.submit(job_document(managedBy="kueue.x-k8s.io/multikueue"))
    assert not await run_until(cluster, _another(cluster), "Complete", 20.0)
    assert cluster.job().status is None
    assert not objects_of(cluster)


def _condition(cluster: Cluster, kind: str) -> Condition:
    status = cluster.job().status
    assert status is not None
    (found,) = (it for it in status.conditions if it.type == kind)
    return found


def _another(cluster: Cluster) -> OperatorProcess:
    return OperatorProcess(cluster, FakeApi(cluster.server))


def _change(cluster: Cluster, **spec: Any) -> None:
    key = Key(NAMESPACE, "digits")
    cluster.server.merge_patch(TRAINING_JOBS, key, {"spec": spec}, "")


async def _questions(seconds: float) -> int:
    """To the hub of one job whose islands train, within that time."""
    cluster = Cluster(held={"digits-island-0", "digits-island-1"})
    cluster.submit(job_document(**ENSEMBLE))
    async with running(cluster):
        await asyncio.sleep(30.0)
        before = cluster.hubs.asked
        await asyncio.sleep(seconds)
        return cluster.hubs.asked - before


@in_virtual_time
async def test_hubs_are_asked_less_often_where_there_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await _questions(200.0) == 40
    monkeypatch.setattr(controller, "QUESTIONS_A_SECOND", 0.05)  # as if 1000 jobs had one hub each
    assert await _questions(200.0) == 10
