r"""How fast the operator starts jobs, what it writes for them, and what it takes itself.

Against the API server of KUBECONFIG, whose audit log, here as a file, has all times and counts: a
test cluster (`make cluster-up`, which prints what to export) has one beside its kubeconfig. The
operator is the process that the chart starts, on this machine; nodes and pods are simulated (KWOK:
`python -m tools.cluster kwok` builds it), and so is what hubs say (`operator_stand_in.py`). Say to the
cluster how fast its own controllers may be, or they are what is measured:

    python -m tools.cluster up --flag kube-controller-manager:--kube-api-qps=500 \
        --flag kube-controller-manager:--kube-api-burst=1000 \
        --flag kube-apiserver:--feature-gates=WatchList=false  # which KWOK asks for, and etcd lacks

Arms, each in a namespace of its own, with an operator of its own:

- light: jobs of one island one after another, each to its end: from the answer to the user to the
  first Job, and the writes of one job, Events apart;
- burst: jobs submitted as fast as they are taken;
- wide: one job of many islands, each a Job of its own;
- fleet: many jobs of four islands that train: memory and CPU of the operator;
- ask: what one question to a real hub costs the operator, over TLS.

The file is not called `operator.py`: a script's folder comes first where Python looks for modules,
and Python's own `operator` would be hidden. MB is 10^6 bytes.
"""

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from audit_log import AuditLog, Request
from costs import cpu_seconds, memory_bytes
from figures import Figure, Target, parser, say, tell
from hub import running
from operator_nodes import PLACEMENT, simulated_nodes
from papers import JOB, new_authority

from atoll_api import names
from atoll_api.crd import custom_resource_definition
from atoll_api.names import Process
from atoll_operator import progress
from atoll_operator.errors import AlreadyExistsError, NotFoundError
from atoll_operator.kubernetes.api import Json, Key, Selection
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration
from atoll_operator.kubernetes.resources import DEFINITIONS, NAMESPACES, TRAINING_JOBS

USERS_AT_ONCE: Final = 16
PATIENCE_SECONDS: Final = 900.0
FLEET_SECONDS: Final = 1500.0
"""Until the pods of a fleet run: its controllers make a few dozen a second."""
STAND_IN: Final = Path(__file__).with_name("operator_stand_in.py")


@dataclass(frozen=True)
class Effort:
    """How much of it."""

    light: int = 60
    light_seconds: float = 0.7
    """Between two jobs."""
    burst: int = 300
    islands: int = 1000
    fleet: int = 1000
    asks: int = 200


QUICK: Final = Effort(light=8, burst=40, islands=60, fleet=20, asks=20)


class Operator:
    """The process, with simulated hubs."""

    def __init__(self, namespace: str, kubeconfig: Path) -> None:
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "ATOLL_WORKER_IMAGE": "example.org/worker:simulated",
            "ATOLL_OPERATOR_NAMESPACE": namespace,
            "ATOLL_OPERATOR_POD": "benchmark",
            "ATOLL_NAMESPACES": namespace,
            "ATOLL_HEALTH_PORT": str(_free_port()),
        }
        self._log = Path(tempfile.mkstemp(prefix=f"{namespace}-", suffix=".log")[1])
        with self._log.open("wb") as file:
            command = [sys.executable, str(STAND_IN)]
            self._process = subprocess.Popen(command, env=os.environ | environment, stderr=file)
        self.pid = self._process.pid

    def leads(self) -> bool:
        """Whether it has begun to work.

        Raises:
            SystemExit: it has ended.
        """
        if self._process.poll() is not None:
            raise SystemExit(f"the operator ended with {self._process.returncode}: {self._log}")
        return "leading" in self._log.read_text()

    def close(self) -> None:
        """End it; its log stays if it warned of something."""
        self._process.terminate()
        self._process.wait()
        told = [line for line in self._log.read_text().splitlines() if "WARNING" in line]
        if told:
            say(f"{len(told)} warnings of the operator in {self._log}")
        else:
            self._log.unlink()


@dataclass(frozen=True)
class Cluster:
    """Where it is."""

    kubeconfig: Path
    audit_log: Path
    kwok: Path


class Lab:
    """A cluster, and one namespace of it that an operator has to itself."""

    def __init__(self, api: ApiServer, found: Cluster, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self._kubeconfig = found.kubeconfig
        self._audit = AuditLog(found.audit_log)
        self._requests: list[Request] = []

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """One that leads here."""
        operator = await asyncio.to_thread(Operator, self.namespace, self._kubeconfig)
        try:
            await until("the operator leads", operator.leads)
            yield operator
        finally:
            await asyncio.to_thread(operator.close)

    def requests(self) -> list[Request]:
        """Of this namespace, so far."""
        self._requests += [it for it in self._audit.read() if it.namespace == self.namespace]
        return self._requests

    async def submit(self, name: str, spec: Json) -> None:
        """As a user does."""
        metadata = {"namespace": self.namespace, "name": name}
        document = {"apiVersion": names.API_VERSION, "kind": names.KIND}
        await self.api.create(TRAINING_JOBS, {**document, "metadata": metadata, "spec": spec})

    def created(self, resource: str) -> dict[str, Request]:
        """What was created of a kind, by name."""
        made = (it for it in self.requests() if it.verb == "create" and it.resource == resource)
        return {it.name: it for it in made if it.code == 201}

    def first_jobs(self) -> dict[str, float]:
        """Seconds from the answer to a user to the answer to the operator's first Job."""
        begun = {name.removesuffix("-partition"): it for name, it in self.created("jobs").items()}
        submitted = self.created("trainingjobs")
        return {
            name: begun[name].answered - it.answered
            for name, it in submitted.items()
            if name in begun
        }

    async def states(self) -> Counter[str]:
        """How many jobs are in which state."""
        page = await self.api.list_page(Selection(TRAINING_JOBS, self.namespace))
        return Counter((it.get("status") or {}).get("state", "") for it in page.items)

    def running_islands(self) -> int:
        """Whose pods run, by what KWOK has told the server: to list 4,000 Jobs would be a load."""
        told = (it for it in self.requests() if it.resource == "pods/status")
        running = (it.name for it in told if it.agent.startswith("kwok") and it.code == 200)
        return len({name for name in running if f"-{names.ISLAND}-" in name})


def job_spec(islands: int) -> Json:
    """The steps of it are a partition, its islands, a router, and the evaluation."""
    return {
        "task": {"type": "Diffusion"},
        "data": {"source": "builtin://digits"},
        "islands": {"count": islands},
        "partition": {"type": "Random"},
        "strategy": {"type": "ExpertEnsemble"},
        "template": {**PLACEMENT, "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}},
    }


async def until(
    what: str,
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]],
    seconds: float = PATIENCE_SECONDS,
) -> None:
    """Wait for it.

    Raises:
        SystemExit: it does not come to that.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"not so after {seconds:.0f} s: {what}")
        await asyncio.sleep(0.5)


async def light(lab: Lab, effort: Effort) -> list[Figure]:
    """One job after another."""
    async with lab.operator():
        for number in range(effort.light):
            await lab.submit(f"job-{number}", job_spec(1))
            await asyncio.sleep(effort.light_seconds)
        await until("all are complete", lambda: _all_in(lab, "Complete", effort.light))
    seconds = sorted(lab.first_jobs().values())
    counts = [_writes_of(lab, f"job-{number}") for number in range(effort.light)]
    for line, count in Counter(_kinds(lab, "job-0")).items():
        say(f"  {count} x {line}")
    return [
        Figure("light: submit to the first Job: median", statistics.median(seconds), "s"),
        Figure("light: submit to the first Job: p99", _p99(seconds), "s", Target(1.0)),
        Figure(
            "light: writes of a job of one island: median",
            statistics.median(counts),
            "",
            Target(16),
        ),
        Figure("light: writes of a job of one island: most", max(counts), ""),
    ]


async def burst(lab: Lab, effort: Effort) -> list[Figure]:
    """Many users at once."""
    async with lab.operator() as operator:
        cpu = cpu_seconds(operator.pid)
        await _submit_all(lab, effort.burst, 1)
        await until("all have a Job", lambda: len(lab.first_jobs()) == effort.burst)
        cpu = cpu_seconds(operator.pid) - cpu
    submitted = lab.created("trainingjobs").values()
    begun = [it for name, it in lab.created("jobs").items() if name.endswith("-partition")]
    first = min(it.received for it in submitted)
    taken = max(it.answered for it in submitted) - first
    whole = max(it.answered for it in begun) - first
    return [
        Figure("burst: submitted", effort.burst / taken, "jobs/s"),
        Figure("burst: submit to first Job", effort.burst / whole, "jobs/s", Target(60, True)),
        Figure("burst: submit to the first Job: p99", _p99(sorted(lab.first_jobs().values())), "s"),
        Figure(
            "burst: CPU of the operator a job, until all have one", 1e3 * cpu / effort.burst, "ms"
        ),
    ]


async def wide(lab: Lab, effort: Effort) -> list[Figure]:
    """One job of many islands."""
    count = effort.islands

    def made() -> list[Request]:
        return [it for name, it in lab.created("jobs").items() if "-island-" in name]

    async with lab.operator() as operator:
        cpu = cpu_seconds(operator.pid)
        await lab.submit("wide", job_spec(count))
        await until("all islands have a Job", lambda: len(made()) == count)
        times = sorted(it.answered for it in made())
        await until("it is complete", lambda: _all_in(lab, "Complete", 1))
        cpu = cpu_seconds(operator.pid) - cpu
        peak = memory_bytes("VmHWM", operator.pid) / 1e6
    ended = max(it.answered for it in lab.requests() if it.resource == "trainingjobs/status")
    mine = [it for it in lab.requests() if it.agent == "atoll-operator" and it.is_write]
    seconds = times[-1] - times[0]
    return [
        Figure(f"wide: Jobs of {count} islands", (count - 1) / seconds, "/s", Target(100, True)),
        Figure("wide: first Job of an island to the end of the job", ended - times[0], "s"),
        Figure("wide: writes an island", len(mine) / count, ""),
        Figure("wide: CPU of the operator an island, to the end", 1e3 * cpu / count, "ms"),
        Figure(f"wide: {count} islands: peak of the operator's memory", peak, "MB"),
    ]


async def fleet(lab: Lab, effort: Effort) -> list[Figure]:
    """Many jobs that train."""
    wanted = 4 * effort.fleet

    async def all_train() -> bool:
        operator.leads()  # or there is nothing to wait for
        running = lab.running_islands()
        say(f"  {running} of {wanted} islands train")
        await asyncio.sleep(5)
        return running == wanted

    async with lab.operator() as operator:
        began = time.monotonic()
        await _submit_all(lab, effort.fleet, 4)
        await until("all islands train", all_train, FLEET_SECONDS)
        took = time.monotonic() - began
        await asyncio.sleep(20)  # the last writes
        cpu, since = cpu_seconds(operator.pid), time.monotonic()
        await asyncio.sleep(30)
        share = (cpu_seconds(operator.pid) - cpu) / (time.monotonic() - since)
        now = memory_bytes("VmRSS", operator.pid) / 1e6
        peak = memory_bytes("VmHWM", operator.pid) / 1e6
    return [
        Figure(f"fleet: {effort.fleet} jobs of 4 islands: memory", now, "MB", Target(150)),
        Figure(f"fleet: {effort.fleet} jobs of 4 islands: peak of memory", peak, "MB"),
        Figure("fleet: CPU while all train, hubs apart", share, "cores"),
        Figure("fleet: until all train", took, "s"),
    ]


async def ask(effort: Effort) -> Figure:
    """A hub that is asked as the operator asks it: a connection each time."""
    authority = new_authority()
    identity = authority.issue(Process(JOB, names.OPERATOR))
    with running(authority) as hub:
        await progress.snapshot(hub.address, identity)
        began = time.process_time()
        for _ in range(effort.asks):
            await progress.snapshot(hub.address, identity)
        spent = (time.process_time() - began) / effort.asks
    return Figure("ask: CPU of one question to a real hub", 1e3 * spent, "ms")


async def _submit_all(lab: Lab, count: int, islands: int) -> None:
    numbers = iter(range(count))

    async def user() -> None:
        for number in numbers:
            await lab.submit(f"job-{number}", job_spec(islands))

    await asyncio.gather(*(user() for _ in range(USERS_AT_ONCE)))


async def _all_in(lab: Lab, state: str, count: int) -> bool:
    states = await lab.states()
    return states[state] == count


def _kinds(lab: Lab, name: str) -> list[str]:
    """What the operator has written of a job, Events and the Lease apart."""
    return [
        f"{it.verb} {it.resource}"
        for it in lab.requests()
        if it.is_write
        and it.agent == "atoll-operator"
        and it.resource not in ("events", "leases")
        and (it.name == name or it.name.startswith(f"{name}-"))
    ]


def _writes_of(lab: Lab, name: str) -> int:
    return len(_kinds(lab, name))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _p99(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


@asynccontextmanager
async def new_lab(api: ApiServer, found: Cluster, suffix: str) -> AsyncIterator[Lab]:
    """A namespace that is gone afterwards."""
    name = f"load-{uuid.uuid4().hex[:6]}{suffix}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await api.create(NAMESPACES, body)
    try:
        yield Lab(api, found, name)
    finally:
        say(f"deleting {name}")
        await api.delete(NAMESPACES, Key("", name))
        await until("the namespace is gone", lambda: _gone(api, name))


async def _gone(api: ApiServer, namespace: str) -> bool:
    try:
        await api.get(NAMESPACES, Key("", namespace))
    except NotFoundError:
        return True
    return False


async def measure(effort: Effort, arms: list[str], found: Cluster) -> list[Figure]:
    """Those arms."""
    figures: list[Figure] = []
    if "ask" in arms:
        figures.append(await ask(effort))
    configuration = await read_configuration()
    async with ApiServer(configuration, ClientOptions(user_agent="benchmark")) as api:
        with suppress(AlreadyExistsError):
            await api.create(DEFINITIONS, custom_resource_definition())
        async with simulated_nodes(api, found.kwok, found.kubeconfig):
            for name, arm in ARMS.items():
                if name in arms:
                    say(name)
                    suffix = "-stays" if name == "fleet" else ""
                    async with new_lab(api, found, suffix) as lab:
                        figures += await arm(lab, effort)
    return figures


ARMS: Final[dict[str, Callable[[Lab, Effort], Awaitable[list[Figure]]]]] = {
    "light": light,
    "burst": burst,
    "wide": wide,
    "fleet": fleet,
}


def main() -> None:
    """Measure."""
    options = parser(__doc__, "fewer jobs")
    options.add_argument("--arm", action="append", choices=[*ARMS, "ask"], help="only this one")
    options.add_argument("--islands", type=int, help="of the wide job; else 1,000, or 60")
    options.add_argument("--kwok", type=Path, help="the program; else the one in the PATH")
    options.add_argument("--audit-log", type=Path, help="else logs/audit.jsonl beside KUBECONFIG")
    chosen = options.parse_args()
    kubeconfig = Path(os.environ.get("KUBECONFIG", "kubeconfig"))
    found = Cluster(
        kubeconfig,
        chosen.audit_log or kubeconfig.parent / "logs/audit.jsonl",
        chosen.kwok or Path(shutil.which("kwok") or "kwok"),
    )
    for path in (found.kubeconfig, found.audit_log, found.kwok):
        if not path.exists():
            options.error(f"{path} is not there: see above for what this needs")
    effort = QUICK if chosen.quick else Effort()
    if chosen.islands:
        effort = replace(effort, islands=chosen.islands)
    tell(asyncio.run(measure(effort, chosen.arm or [*ARMS, "ask"], found)), chosen.json)


if __name__ == "__main__":
    main()
