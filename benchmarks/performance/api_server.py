"""What the operator's conversation with an API server costs this process.

Against the API server of KUBECONFIG, in a namespace of its own that is deleted at the end; each
arm is a process, so that memory is its own. The Jobs are suspended: nobody starts pods. Arms:

- bare: creating Jobs, 16 at once, by aiohttp alone, prepared beforehand: what cannot be beaten;
- client: the same by `client.ApiServer`, interleaved with it;
- mirror: listing 8,000 Jobs and keeping a small value of each (`watching.Mirror`);
- events: following changes of Jobs, from the change of the first to the sight of the last.

Memory is resident (RSS); MB is 10^6 bytes.
"""

import asyncio
import json
import random
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from costs import memory_bytes
from figures import Figure, Target, median, parser, say, tell, worst

from atoll_operator.kubernetes.api import Json, Key, Selection
from atoll_operator.kubernetes.client import ApiServer, read_configuration
from atoll_operator.kubernetes.resources import JOBS, NAMESPACES
from atoll_operator.kubernetes.watching import Interest, Mirror

AT_ONCE: Final = 16
GROUP: Final = "example.org/job"


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    creates: int
    mirrored: int
    events: int
    rounds: int


FULL: Final = Plan(creates=600, mirrored=8000, events=2000, rounds=5)
QUICK: Final = Plan(creates=100, mirrored=500, events=200, rounds=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an operator keeps of a Job."""

    uid: str
    version: str
    active: int
    failed: int
    group: str


def kept(body: Json) -> Kept:
    """The projection."""
    metadata, status = body["metadata"], body.get("status") or {}
    return Kept(
        metadata["uid"],
        metadata["resourceVersion"],
        status.get("active", 0),
        status.get("failed", 0),
        metadata["labels"][GROUP],
    )


def job(namespace: str, number: int) -> Json:
    """As large as a real one: about 3 kB when it is listed."""
    variables = [{"name": f"SETTING_{it}", "value": "x" * 20} for it in range(8)]
    container = {
        "name": "worker",
        "image": "worker:1",
        "env": variables,
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    }
    labels = {GROUP: f"job-{number // 8}"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace, "name": f"job-{number}", "labels": labels},
        "spec": {
            "suspend": True,
            "backoffLimit": 3,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


async def in_turns(count: int, act: Callable[[int], Awaitable[Any]]) -> dict[str, float]:
    """Act so often, several at once: rate, and CPU of this process."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await act(number)

    began, began_cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"per_second": count / seconds, "cpu_ms": 1000 * cpu / count}


async def arm_client(namespace: str, count: int) -> dict[str, float]:
    """Create Jobs as the operator does."""
    async with ApiServer(await read_configuration()) as api:
        return await in_turns(count, lambda number: api.create(JOBS, job(namespace, number)))


async def arm_bare(namespace: str, count: int) -> dict[str, float]:
    """Create Jobs with nothing between."""
    configuration = await read_configuration()
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    headers = {"Content-Type": "application/json", "Authorization": token or ""}
    url = f"{configuration.host}{JOBS.path(namespace)}"
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def create(number: int) -> None:
            async with session.post(url, data=json.dumps(job(namespace, number))) as answer:
                answer.raise_for_status()
                json.loads(await answer.read())

        return await in_turns(count, create)


async def arm_mirror(namespace: str, count: int) -> dict[str, float]:
    """List, and keep a little."""
    async with ApiServer(await read_configuration()) as api:
        before = memory_bytes("VmRSS")
        mirror = Mirror(api, _interest(namespace), lambda _: None, random.random)
        began, began_cpu = time.perf_counter(), time.process_time()
        run = asyncio.ensure_future(mirror.run())
        await mirror.synced.wait()
        found = {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - began_cpu,
            "mb": memory_bytes("VmRSS") / 1e6,
            "growth_mb": (memory_bytes("VmRSS") - before) / 1e6,
        }
        assert len(mirror) == count
        run.cancel()
        return found


async def arm_events(namespace: str, count: int) -> dict[str, float]:
    """Follow; the changes come from another process, which the caller starts on `ready`."""
    changed, done = 0, asyncio.Event()

    def wake(_: str) -> None:
        nonlocal changed
        changed += mirror.synced.is_set()
        if changed == count:
            done.set()

    async with ApiServer(await read_configuration()) as api:
        mirror = Mirror(api, _interest(namespace), wake, random.random)
        run = asyncio.ensure_future(mirror.run())
        await mirror.synced.wait()
        changer = await asyncio.create_subprocess_exec(*_command("change", namespace, count))
        began, began_cpu = time.perf_counter(), time.process_time()
        await done.wait()
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        await changer.wait()
        run.cancel()
        return {"per_second": count / seconds, "cpu_ms": 1000 * cpu / count}


async def arm_change(namespace: str, count: int) -> dict[str, float]:
    """Change so many Jobs once."""
    patch = {"spec": {"backoffLimit": 4}}
    async with ApiServer(await read_configuration()) as api:
        return await in_turns(
            count, lambda number: api.merge_patch(JOBS, Key(namespace, f"job-{number}"), patch)
        )


ARMS: Final = {
    "bare": arm_bare,
    "client": arm_client,
    "mirror": arm_mirror,
    "events": arm_events,
    "change": arm_change,
}


def _interest(namespace: str) -> Interest[Kept, str]:
    return Interest(Selection(JOBS, namespace), kept, lambda value: value.group)


def _command(arm: str, namespace: str, count: int) -> list[str]:
    return [sys.executable, str(Path(__file__)), "--arm", arm, namespace, str(count)]


def run_arm(arm: str, namespace: str, count: int) -> dict[str, float]:
    """In a process of its own."""
    command = _command(arm, namespace, count)
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    say(f"{arm} {found}")
    return found


async def with_namespaces(count: int, act: Callable[[list[str]], list[Figure]]) -> list[Figure]:
    """Namespaces that are gone afterwards."""
    stem = uuid.uuid4().hex[:8]
    names = [f"benchmark-{stem}-{number}" for number in range(count)]
    async with ApiServer(await read_configuration()) as api:
        for name in names:
            metadata = {"name": name}
            await api.create(
                NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
            )
        try:
            return await asyncio.to_thread(act, names)
        finally:
            for name in names:
                await api.delete(NAMESPACES, Key("", name))


def measure(plan: Plan, names: list[str]) -> list[Figure]:
    """All arms."""
    bare, client = [], []
    for number in range(plan.rounds):
        bare.append(run_arm("bare", names[2 * number], plan.creates))
        client.append(run_arm("client", names[2 * number + 1], plan.creates))
    run_arm("client", names[-1], plan.mirrored)
    mirrors = [run_arm("mirror", names[-1], plan.mirrored) for _ in range(plan.rounds)]
    events = run_arm("events", names[-1], plan.events)
    jobs = f"{plan.mirrored} Jobs"
    return [
        median("create a Job, bare", [it["per_second"] for it in bare], "/s"),
        median("create a Job", [it["per_second"] for it in client], "/s", Target(100, True)),
        median("create a Job, bare: CPU", [it["cpu_ms"] for it in bare], "ms"),
        median("create a Job: CPU", [it["cpu_ms"] for it in client], "ms"),
        median(f"mirror {jobs}", [it["seconds"] for it in mirrors], "s", Target(1.7)),
        median(f"mirror {jobs}: CPU", [it["cpu_seconds"] for it in mirrors], "s"),
        worst(f"mirror {jobs}: memory it adds", [it["growth_mb"] for it in mirrors], "MB"),
        worst(f"mirror {jobs}: memory", [it["mb"] for it in mirrors], "MB", Target(53)),
        Figure("follow a change of a Job: CPU", events["cpu_ms"], "ms"),
        Figure("follow changes of Jobs, as fast as they are made", events["per_second"], "/s"),
    ]


def main() -> None:
    """Measure."""
    options = parser(__doc__, "fewer Jobs, one round")
    options.add_argument("--arm", nargs=3, metavar=("ARM", "NAMESPACE", "COUNT"))
    chosen = options.parse_args()
    if chosen.arm:
        arm, namespace, count = chosen.arm
        print(json.dumps(asyncio.run(ARMS[arm](namespace, int(count)))))
        return
    plan = QUICK if chosen.quick else FULL
    names = 2 * plan.rounds + 1
    tell(asyncio.run(with_namespaces(names, lambda it: measure(plan, it))), chosen.json)


if __name__ == "__main__":
    main()
