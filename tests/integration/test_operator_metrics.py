"""What two operators, as processes over a real API server, tell a scraper of themselves and of a job."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import job_document
from expositions import Series, of, read, value
from kube_api_server import KubeApiServer, shared_server
from kube_worlds import World, world

from atoll_api import names
from atoll_operator import metrics
from atoll_operator.kubernetes.api import Json, Key
from atoll_operator.kubernetes.resources import JOBS, PODS, TRAINING_JOBS
from atoll_operator.plan.status import rfc3339

SCRIPT = Path(__file__).parents[1] / "support" / "run_operator.py"
PATIENCE_SECONDS = 40.0
JOB_SERIES = "kube_atoll_trainingjob_info"
STARTED = "atoll_operator_trainingjob_start_seconds"


@dataclass
class Replica:
    """A process."""

    process: subprocess.Popen[bytes]
    port: int

    def scraped(self) -> Series:
        """Nothing as long as nobody answers."""
        try:
            url = f"http://127.0.0.1:{self.port}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return read(answer.read().decode())
        except OSError:
            return {}

    @property
    def leads(self) -> bool:
        return self.scraped().get(("atoll_operator_leader", frozenset())) == 1


@contextmanager
def replica(kubeconfig: Path, namespace: str, log: Path) -> Iterator[Replica]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "ATOLL_WORKER_IMAGE": "example.org/worker:1",
        "ATOLL_OPERATOR_NAMESPACE": namespace,
        "ATOLL_OPERATOR_POD": f"operator-{port}",
        "ATOLL_NAMESPACES": namespace,
        "ATOLL_HEALTH_PORT": str(port),
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=os.environ | environment, stderr=file
        )
    try:
        yield Replica(process, port)
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Lab:
    """A namespace with two operators of its own."""

    world: World
    leader: Replica
    other: Replica


@pytest.fixture(scope="module")
def server() -> KubeApiServer:
    return shared_server()


@asynccontextmanager
async def lab(server: KubeApiServer, folder: Path) -> AsyncIterator[Lab]:
    async with world("real", server.kubeconfig) as found:
        with ExitStack() as stack:
            both = [
                stack.enter_context(
                    replica(server.kubeconfig, found.namespace, folder / f"{it}.log")
                )
                for it in ("a", "b")
            ]
            await until(lambda: all(it.scraped() for it in both))
            await until(lambda: any(it.leads for it in both))
            leader, other = sorted(both, key=lambda it: not it.leads)
            yield Lab(found, leader, other)


async def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await asyncio.to_thread(so):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def submit(found: World) -> None:
    body = job_document(**{"islands.count": 2})
    body["metadata"]["namespace"] = found.namespace
    await found.api.create(TRAINING_JOBS, body)


async def put_at_work(found: World, began_at: float) -> None:
    """As a kubelet would: here is none, and no controller."""
    key = Key(found.namespace, f"digits-{names.PARTITION}")
    job = await found.api.get(JOBS, key)
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": key.name, "controller": True}
    body: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": found.namespace,
            "name": f"{key.name}-abcde",
            "labels": job["metadata"]["labels"],
            "ownerReferences": [{**reference, "uid": job["metadata"]["uid"]}],
        },
        "spec": {"containers": [{"name": "atoll", "image": "example.org/worker:1"}]},
    }
    await found.api.create(PODS, body)
    running = {"running": {"startedAt": rfc3339(began_at)}}
    status = {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "atoll",
                "ready": True,
                "restartCount": 0,
                "state": running,
                "image": "example.org/worker:1",
                "imageID": "",
            }
        ],
    }
    pod = Key(found.namespace, f"{key.name}-abcde")
    await found.api.merge_patch(PODS, pod, {"status": status}, subresource="status")


def counts_of_both(here: Lab) -> None:
    """Each says of itself what it does, and one of both what jobs do."""
    leader, other = here.leader.scraped(), here.other.scraped()
    assert value(other, "atoll_operator_leader") == 0
    for series in (leader, other):
        ages = of(series, "atoll_operator_watch_age_seconds")
        assert len(ages) == len(metrics.WATCHED.values)
        assert all(0 <= it < 90 for it in ages.values())
        listed = {"verb": "list", "resource": "pods", "code": "200"}
        assert value(series, "atoll_operator_api_requests_total", **listed) >= 1
        assert value(series, "process_resident_memory_bytes") > 1e6
    made = {"verb": "create", "resource": "jobs", "code": "201"}
    assert value(leader, "atoll_operator_api_requests_total", **made) == 1
    assert value(leader, "atoll_operator_trainingjobs", state="Pending") == 1
    assert value(other, "atoll_operator_trainingjobs", state="Pending") == 0
    assert not of(other, JOB_SERIES)
    told = {name.removesuffix("_bucket") for name, _ in leader}
    assert {it.name for it in metrics.COMPONENT} <= told


@pytest.mark.slow
async def test_two_operators_tell_of_one_job_once(server: KubeApiServer, tmp_path: Path) -> None:
    async with lab(server, tmp_path) as here:
        began = time.time()
        await submit(here.world)
        await until(lambda: bool(of(here.leader.scraped(), JOB_SERIES)))
        made = {"verb": "create", "resource": "jobs", "code": "201"}
        name = "atoll_operator_api_requests_total"
        await until(lambda: (name, frozenset(made.items())) in here.leader.scraped())
        await put_at_work(here.world, began + 7)
        await until(lambda: value(here.leader.scraped(), f"{STARTED}_count") == 1)
        assert 5 <= value(here.leader.scraped(), f"{STARTED}_sum") <= 9
        counts_of_both(here)

        here.leader.process.kill()
        await until(lambda: here.other.leads)
        await until(lambda: bool(of(here.other.scraped(), JOB_SERIES)))
        passes = "atoll_operator_reconcile_duration_seconds_count"
        await until(lambda: value(here.other.scraped(), passes) >= 2)
        assert value(here.other.scraped(), f"{STARTED}_count") == 0, "its start was counted"

        await here.world.api.delete(TRAINING_JOBS, Key(here.world.namespace, "digits"))
        await until(lambda: not of(here.other.scraped(), JOB_SERIES))
