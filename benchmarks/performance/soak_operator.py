"""The operator's part of a soak: one process, on an API server of its own, and jobs in a row."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit_log import AuditLog, Request
from own_api_server import Found
from simulated_cluster import SimulatedCluster
from soak_jobs import Jobs, Ran
from soak_operator_stand_in import ADDRESSES

from atoll_api.crd import custom_resource_definition
from atoll_operator.errors import NotFoundError
from atoll_operator.kubernetes.api import Key
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration
from atoll_operator.kubernetes.resources import DEFINITIONS, NAMESPACES, TRAINING_JOBS
from atoll_telemetry import logs

NAMESPACE: Final = "soak"
STAND_IN: Final = Path(__file__).with_name("soak_operator_stand_in.py")
START_SECONDS: Final = 60.0
EVERY_JOB: Final = b"kube_atoll_trainingjob_created{"
"""A series that every job has."""
SETTLED_SECONDS: Final = 8.0
"""After the end of a job: its last requests have been made and counted."""


@dataclass(frozen=True)
class Worked:
    """A job, and what the operator asked of the API server for it."""

    ran: Ran
    writes: int
    """Events and the Lease apart."""
    events: int


class OperatorSoak:
    """One operator, and what is done to it."""

    def __init__(self, api: ApiServer, found: Found, folder: Path, step_seconds: float) -> None:
        addresses = folder / "hubs"
        addresses.mkdir(exist_ok=True)
        self.api = api
        self._found = found
        self._folder = folder
        self._addresses = addresses
        self.cluster = SimulatedCluster(api, NAMESPACE, addresses, step_seconds)
        self.jobs = Jobs(api, self.cluster, NAMESPACE)
        self._audit = AuditLog(found.audit_log)
        self._written: dict[str, Counter[str]] = {}
        self._ran: deque[tuple[float, Ran]] = deque()
        self.asked = Counter[str]()
        """Requests of the operator so far, by verb and resource."""
        self.idle = asyncio.Event()
        """Whether no job is under way."""
        self._under_way = 0
        self._port = 0
        self.pid = 0

    @asynccontextmanager
    async def running(self, port: int, environment: dict[str, str]) -> AsyncIterator[None]:
        """The operator, which leads, and the cluster around it."""
        process = self._start(port, environment)
        self._port, self.pid = port, process.pid
        try:
            async with asyncio.TaskGroup() as group:
                going = [group.create_task(self.cluster.run()), group.create_task(self.jobs.run())]
                await self._until_it_leads(process)
                yield
                for task in going:
                    task.cancel()
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)

    async def next(self) -> None:
        """One more job, from its creation until nothing is left of it."""
        self._under_way += 1
        self.idle.clear()
        ran = await self.jobs.next()
        self._ran.append((time.monotonic(), ran))
        self._under_way -= 1
        if not self._under_way:
            self.idle.set()

    def settled(self, seconds: float = SETTLED_SECONDS) -> Iterator[Worked]:
        """Jobs that are gone for so long: nothing more is asked for them."""
        self.read_audit()
        while self._ran and self._ran[0][0] <= time.monotonic() - seconds:
            _, ran = self._ran.popleft()
            written = self._written.pop(ran.name, Counter())
            yield Worked(ran, written["write"], written["event"])

    def read_audit(self) -> None:
        """Take what is new in the log."""
        for it in self._audit.read():
            if not _is_operators(it):
                continue
            self.asked[f"{it.verb} {it.resource}"] += 1
            if it.is_write and it.resource != "leases":
                kind = "event" if it.resource == "events" else "write"
                self._written.setdefault(_job_of(it.name), Counter())[kind] += 1

    def exposition(self) -> bytes:
        """Its metrics, scraped as Prometheus does."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as page:
            found: bytes = page.read()
            return found

    def told(self) -> int:
        """Of how many jobs its metrics tell."""
        return sum(it.startswith(EVERY_JOB) for it in self.exposition().splitlines())

    async def forgets(self) -> bool:
        """Whether it comes to tell of no job, where there is none."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            told = self.told()
            if not told or time.monotonic() > deadline:
                return not told
            await asyncio.sleep(0.2)

    def _start(self, port: int, more: dict[str, str]) -> "subprocess.Popen[bytes]":
        environment = {
            "KUBECONFIG": str(self._found.kubeconfig),
            "ATOLL_WORKER_IMAGE": "example.org/worker:simulated",
            "ATOLL_OPERATOR_NAMESPACE": NAMESPACE,
            "ATOLL_OPERATOR_POD": "soak",
            "ATOLL_NAMESPACES": NAMESPACE,
            "ATOLL_HEALTH_PORT": str(port),
            ADDRESSES: str(self._addresses),
            logs.ENV_LEVEL: "info",
            **more,
        }
        with (self._folder / "operator.log").open("wb") as log:
            setpriv = shutil.which("setpriv")  # whoever is killed shall leave nothing behind
            mortal = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
            command = [*mortal, sys.executable, str(STAND_IN)]
            return subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)

    async def _until_it_leads(self, process: "subprocess.Popen[bytes]") -> None:
        log, deadline = self._folder / "operator.log", time.monotonic() + START_SECONDS
        while "leading" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the operator does not lead: {log}")
            await asyncio.sleep(0.2)


def _is_operators(request: Request) -> bool:
    """Its own requests, and those of kopf in it; this process calls itself otherwise."""
    return request.agent.startswith(("atoll-operator", "kopf"))


def _job_of(name: str) -> str:
    """Objects of a job are called by it."""
    return "-".join(name.split("-")[:2]).split(".")[0]


@asynccontextmanager
async def connected(found: Found) -> AsyncIterator[ApiServer]:
    """To that API server, as a user who may do anything; with what a soak needs there."""
    configuration = await read_configuration(found.kubeconfig)
    async with ApiServer(
        configuration, ClientOptions(timeout_seconds=60.0, user_agent="soak")
    ) as api:
        await api.create(DEFINITIONS, custom_resource_definition())
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await api.create(NAMESPACES, body)
        await _until_served(api)
        yield api


async def _until_served(api: ApiServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            await api.get(TRAINING_JOBS, Key(NAMESPACE, "none"))
        except NotFoundError as error:
            if "none" in str(error):
                return
        await asyncio.sleep(0.2)
    raise SystemExit("the API server does not know TrainingJobs")


async def lane(soak: OperatorSoak, until: float, going: asyncio.Event) -> None:
    """Jobs in a row until that moment, on the monotonic clock; none begins while `going` is not."""
    while time.monotonic() < until:
        await going.wait()
        await soak.next()
