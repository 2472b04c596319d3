"""A cluster that runs jobs in a moment, and an operator over it: whole stories in virtual time."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from atoll_api import names, resolved_job
from atoll_api.names import Process, Ref, StepName
from atoll_api.work_order import refs_written
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Identity
from atoll_operator.kubernetes.api import Json, Key, Selection, key_of
from atoll_operator.kubernetes.authority import load_authority
from atoll_operator.kubernetes.backoff import Backoff
from atoll_operator.kubernetes.controller import Controller, Hands
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.measuring import CountedHubs, Measurements
from atoll_operator.kubernetes.resources import (
    CONFIG_MAPS,
    JOBS,
    PODS,
    STATEFUL_SETS,
    TRAINING_JOBS,
)
from atoll_operator.kubernetes.settings import OperatorSettings
from atoll_operator.kubernetes.training_jobs import JobView, view_of
from atoll_operator.kubernetes.watching import Interest, Mirror
from atoll_operator.kubernetes.work_queue import WorkQueue
from atoll_operator.kubernetes.world import Wiring, World
from atoll_operator.plan.model import Binding, StepProgress
from atoll_operator.plan.status import rfc3339

SETTINGS = OperatorSettings("worker:1", "atoll", "operator-0", {"app": "atoll"})
NAMESPACE = "team"


@dataclass
class Hubs:
    """All hubs of the cluster: implements `hearing.HubClient`."""

    bound: dict[str, dict[Ref, Binding]] = field(default_factory=dict)
    """By the uid of the job."""
    silent: bool = False
    asked: int = 0
    """How often for a snapshot."""

    async def snapshot(
        self, address: str, identity: Identity
    ) -> tuple[Mapping[StepName, StepProgress], Mapping[Ref, Binding]]:
        """What is bound; nobody reports progress."""
        self.asked += 1
        if self.silent:
            raise HubUnavailableError(f"the hub at {address} did not answer")
        return {}, dict(self.bound.get(identity.process.job_uid, {}))

    async def drop(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """Unbind."""
        del address
        for ref in refs:
            self.bound.get(identity.process.job_uid, {}).pop(ref, None)

    async def excuse(self, address: str, identity: Identity, refs: Sequence[Ref]) -> None:
        """Bind to nothing."""
        del address
        held = self.bound.setdefault(identity.process.job_uid, {})
        for ref in refs:
            held.setdefault(ref, Binding("blake3:none", 0))


@dataclass
class Cluster:
    """Runs what is there: pods of hubs are ready at once, and Jobs succeed when they are asked to."""

    server: FakeServer = field(default_factory=FakeServer)
    hubs: Hubs = field(default_factory=Hubs)
    failing: set[str] = field(default_factory=set)
    """Names of Jobs that are given up."""
    held: set[str] = field(default_factory=set)
    """Names of Jobs that go on for ever."""

    def submit(self, body: Json) -> JobView:
        """Create a TrainingJob."""
        placed = copy.deepcopy(body)
        placed["metadata"]["namespace"] = NAMESPACE
        return view_of(self.server.create(TRAINING_JOBS, placed))

    def job(self, name: str = "digits") -> JobView:
        """A TrainingJob now."""
        return view_of(self.server.objects(TRAINING_JOBS)[Key(NAMESPACE, name)])

    def run(self) -> None:
        """Let everything that is there do its work."""
        for body in self.server.objects(STATEFUL_SETS).values():
            self._serve(body)
        for body in self.server.objects(JOBS).values():
            self._work(body)

    def put_pod(self, owner: Json, index: int) -> None:
        """One that runs, of an index of a Job."""
        pod = _ready_pod(owner, f"{owner['metadata']['name']}-{index}")
        pod["metadata"]["annotations"] = {names.LABEL_COMPLETION_INDEX: str(index)}
        self.server.put(PODS, pod)

    def put_attempt(self, job: str, attempt: int, began_at: float) -> None:
        """A pod of a Job's own that runs; times are seconds since the epoch."""
        owner = self.server.objects(JOBS)[Key(NAMESPACE, job)]
        pod = _ready_pod(owner, f"{job}-{attempt}")
        pod["metadata"]["uid"] = f"uid-{job}-{attempt}"
        pod["metadata"]["creationTimestamp"] = rfc3339(began_at)
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = rfc3339(began_at)
        self.server.put(PODS, pod)

    def end_attempt(self, job: str, attempt: int, ended_at: float, **how: Any) -> None:
        """It ends: with exit code 1, unless `how` says otherwise in Kubernetes' own words."""
        pod = self.server.objects(PODS)[Key(NAMESPACE, f"{job}-{attempt}")]
        (container,) = pod["status"]["containerStatuses"]
        began = container["state"].pop("running")
        ended = {"exitCode": 1, "finishedAt": rfc3339(ended_at), **began, **how}
        container["state"] = {"terminated": ended}
        pod["status"]["phase"] = "Failed" if ended["exitCode"] else "Succeeded"
        self.server.put(PODS, pod)

    def _serve(self, body: Json) -> None:
        name = f"{body['metadata']['name']}-0"
        key = Key(NAMESPACE, name)
        if body["spec"]["replicas"] == 0 or key in self.server.objects(PODS):
            return
        self.server.put(PODS, _ready_pod(body, name))

    def _work(self, body: Json) -> None:
        name, status = body["metadata"]["name"], body.get("status") or {}
        if status.get("conditions") or name in self.held:
            return
        kind = "Failed" if name in self.failing else "Complete"
        if kind == "Complete":
            self._bind(body)
        conditions = [{"type": kind, "status": "True", "message": "it was given up"}]
        self.server.put(JOBS, {**body, "status": {"conditions": conditions}})

    def _bind(self, body: Json) -> None:
        labels, uid = body["metadata"]["labels"], body["metadata"]["ownerReferences"][0]["uid"]
        key = Key(NAMESPACE, names.job_object(labels[names.LABEL_JOB], uid))
        resolved = resolved_job.parse(self.server.objects(CONFIG_MAPS)[key]["data"]["job.json"])
        count, role = body["spec"].get("completions"), labels[names.LABEL_ROLE]
        island = int(labels.get(names.LABEL_ISLAND, 0))
        for index in range(count) if count else (island,):
            order = resolved_job.order_of(resolved, Process(uid, role, index))
            for ref in refs_written(order):
                self.hubs.bound.setdefault(uid, {})[ref] = Binding(f"blake3:{ref}", 1)


def _ready_pod(owner: Json, name: str) -> Json:
    metadata = owner["metadata"]
    reference = {"kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "labels": dict(metadata["labels"]),
            "ownerReferences": [{**reference, "controller": True}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "atoll", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
            ],
        },
    }


class OperatorProcess:
    """One operator that leads, over one connection to the cluster. Fed by a mirror, not by kopf."""

    def __init__(
        self, cluster: Cluster, api: FakeApi, measurements: Measurements | None = None
    ) -> None:
        self.cluster = cluster
        self.api = api
        self.measurements = measurements or Measurements("1")
        self.queue: WorkQueue[Key] = WorkQueue(
            Backoff(0.2, 5.0), lambda: 0.5, self.measurements.passed
        )
        self.failures: list[Exception] = []
        self.controller: Controller | None = None

    async def run(self) -> None:
        """Until it is cancelled, or dies."""
        authority = await load_authority(
            self.api, Key("atoll", SETTINGS.authority), datetime.now(UTC)
        )
        wiring = Wiring(self.queue.add, lambda: 0.5, self.failures.append)
        world = World(self.api, (), wiring)
        hubs = CountedHubs(self.cluster.hubs, self.measurements)
        happened = self.measurements.happened
        controller = self.controller = Controller(
            Hands(self.api, world, hubs, authority, SETTINGS, happened),
            now=lambda: 0.0,
            clock=asyncio.get_running_loop().time,
        )

        def project(body: Json) -> tuple[Key, str]:
            controller.saw(view_of(body))
            return key_of(body), body["metadata"]["resourceVersion"]

        jobs: Mirror[Any, Key] = Mirror(
            self.api,
            Interest(Selection(TRAINING_JOBS), project, lambda it: it[0]),
            self.queue.add,
            lambda: 0.5,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(world.run())
            group.create_task(jobs.run())
            await world.synced()
            group.create_task(self.queue.run(controller.work, 4))


async def run_until(cluster: Cluster, process: OperatorProcess, state: str, seconds: float) -> bool:
    """Let cluster and operator go on; whether the job came to this state.

    Raises what the operator dies of.
    """
    going = asyncio.create_task(process.run())
    try:
        for _ in range(int(seconds / 0.25)):
            await asyncio.sleep(0.25)
            if going.done():
                going.result()
            cluster.run()
            status = cluster.job().status
            if status is not None and status.state == state:
                return True
        return False
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[OperatorProcess]:
    """A cluster that does its work, with an operator."""

    async def works() -> None:
        while True:
            cluster.run()
            await asyncio.sleep(0.25)

    process = OperatorProcess(cluster, FakeApi(cluster.server))
    going = (asyncio.create_task(process.run()), asyncio.create_task(works()))
    try:
        yield process
        assert not any(it.done() for it in going)
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
