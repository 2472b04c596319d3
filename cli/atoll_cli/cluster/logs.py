"""Logs of the pods of a job, through kubectl.

Through kubectl and not through the API: the client of the operator speaks JSON alone, and has one
suite with its fake; kubectl goes on where a log was rotated, knows every way to log in, and is
needed for the hub anyway. A pod is a child process, which is why so many are followed and no more.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from atoll_api import names
from atoll_api.problems import InvalidJobError, parse_job
from atoll_cli.cluster import jobs
from atoll_cli.cluster.jobs import JobOnCluster
from atoll_cli.cluster.kubectl import Kubectl, reason
from atoll_cli.errors import CliError
from atoll_cli.logs import Pieces, Teller, chosen, in_order
from atoll_operator.kubernetes.api import Api, Json, Selection
from atoll_operator.kubernetes.manifests.pods import CONTAINER
from atoll_operator.kubernetes.resources import PODS
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.status import ended_in

LOOK_SECONDS: Final = 2.0
"""Between two looks for new pods."""
MOST_FOLLOWED: Final = 50
"""Pods at a time: kubectl takes 20 to 50 MB of memory for each."""
_ENDING_SECONDS: Final = 5.0


@dataclass(frozen=True)
class StepPod:
    """A pod, as far as its log is concerned."""

    name: str
    step: str
    created: str
    phase: str
    restarts: int
    """Of its container: a hub is started again in its pod."""
    why_waiting: str

    @property
    def has_log(self) -> bool:
        """Whether its container was ever started."""
        return self.phase in ("Running", "Succeeded", "Failed")

    @property
    def key(self) -> tuple[str, int]:
        """Of one start of its container."""
        return self.name, self.restarts


def pods_of(items: Iterable[Json]) -> list[StepPod]:
    """By step, and the first attempt first."""
    found = [_pod(it) for it in items if names.LABEL_ROLE in it["metadata"].get("labels", {})]
    order = {step: at for at, step in enumerate(in_order(it.step for it in found))}
    return sorted(found, key=lambda it: (order[it.step], it.created, it.name))


def steps_of(job: JobOnCluster, pods: Sequence[StepPod]) -> list[str]:
    """Every step that the job has or had."""
    found: list[str] = [it.step for it in pods]
    with suppress(InvalidJobError):  # of another release: its pods say enough
        found += [names.HUB, *(it.name for it in pipeline(parse_job(job.document()).spec))]
    return in_order(found)


async def show(
    api: Api, kubectl: Kubectl, name: str, asked: str | None, *, raw: bool = False
) -> None:
    """Print the logs that there are; `raw`: as they are.

    Raises:
        CliError: no such job, no such step, or nothing to print.
    """
    job = await jobs.read(api, kubectl.place, name)
    pods = pods_of(await _pods(api, kubectl, name))
    teller = Teller(chosen(asked, steps_of(job, pods), name), raw=raw)
    printed = 0
    for pod in pods:
        if pod.step in teller.steps and pod.has_log:
            if pod.restarts:
                await _stream(kubectl, pod, teller, "--previous")
            await _stream(kubectl, pod, teller)
            printed += 1
    waiting = {it.step: it.why_waiting for it in pods if not it.has_log}
    for step in teller.steps:
        if step in waiting:
            teller.explain(step, f"not started: {waiting[step]}")
    if not printed:
        raise CliError(f"{name}: no logs: {_why_nothing(job, teller.steps)}")


async def follow(
    api: Api,
    kubectl: Kubectl,
    name: str,
    asked: str | None,
    look_seconds: float = LOOK_SECONDS,
    *,
    raw: bool = False,
) -> None:
    """Print the logs that there are and those that come, until the steps have ended.

    Raises:
        CliError: no such job or step.
    """
    streams: dict[tuple[str, int], asyncio.Task[None]] = {}
    teller: Teller | None = None
    try:
        while True:
            job = await jobs.read(api, kubectl.place, name)
            pods = pods_of(await _pods(api, kubectl, name))
            teller = teller or Teller(chosen(asked, steps_of(job, pods), name), raw=raw)
            _begin(kubectl, pods, teller, streams)
            ended = [it for it in streams.values() if it.done()]
            for it in ended:
                it.result()
            hub = {(it.name, it.restarts) for it in pods if it.step == names.HUB}
            open_streams = [it for key, it in streams.items() if not it.done() and key not in hub]
            if _is_over(job, teller.steps) and not open_streams and asked != names.HUB:
                return
            await asyncio.sleep(look_seconds)
    finally:
        for it in streams.values():
            it.cancel()
        await asyncio.gather(*streams.values(), return_exceptions=True)


def _begin(
    kubectl: Kubectl,
    pods: Sequence[StepPod],
    teller: Teller,
    streams: dict[tuple[str, int], "asyncio.Task[None]"],
) -> None:
    """Follow the pods that are new, as long as there are not too many."""
    for pod in pods:
        wanted = pod.step in teller.steps and pod.has_log and pod.key not in streams
        if not wanted:
            continue
        if sum(not it.done() for it in streams.values()) >= MOST_FOLLOWED:
            break  # it is followed once another has ended
        streams[pod.key] = asyncio.create_task(_stream(kubectl, pod, teller, "--follow"))


def _is_over(job: JobOnCluster, steps: Sequence[str]) -> bool:
    """Whether nothing more is to come of these steps."""
    status = job.status
    states = {it.name: it.state for it in (*status.steps, *status.islands)}
    done = [states.get(it) in ("Succeeded", "Failed") for it in steps if it != names.HUB]
    return ended_in(status) is not None or (bool(done) and all(done))


async def _pods(api: Api, kubectl: Kubectl, name: str) -> list[Json]:
    labels = ",".join(f"{key}={it}" for key, it in names.selector(name).items())
    return (await api.list_page(Selection(PODS, kubectl.place.namespace, labels))).items


async def _stream(kubectl: Kubectl, pod: StepPod, teller: Teller, *flags: str) -> None:
    """Print the log of one pod, to its end."""
    pipe = asyncio.subprocess.PIPE
    command = kubectl.held("logs", pod.name, f"--container={CONTAINER}", *flags)
    environment = {**os.environ, **kubectl.environment}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    )
    assert process.stdout is not None  # they are pipes
    assert process.stderr is not None
    pieces = Pieces()
    try:
        while piece := await process.stdout.read(1 << 16):
            for line in pieces.feed(piece):
                teller.tell(pod.step, line)
        for line in pieces.rest():
            teller.tell(pod.step, line)
        said = await process.stderr.read()
        if await process.wait():
            teller.explain(pod.step, reason(said.decode(errors="replace")))
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let go of the lifeline; it takes kubectl with it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_ENDING_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _pod(body: Json) -> StepPod:
    labels, status = body["metadata"]["labels"], body.get("status", {})
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    return StepPod(
        name=body["metadata"]["name"],
        step=_step(labels),
        created=body["metadata"].get("creationTimestamp", ""),
        phase=status.get("phase", "Pending"),
        restarts=container.get("restartCount", 0),
        why_waiting=_why_waiting(status, container),
    )


def _step(labels: dict[str, str]) -> str:
    role = labels[names.LABEL_ROLE]
    index = labels.get(names.LABEL_ISLAND, labels.get(names.LABEL_COMPLETION_INDEX))
    return names.island_step(int(index)) if role == names.ISLAND and index else role


def _why_waiting(status: Json, container: Json) -> str:
    waiting = container.get("state", {}).get("waiting") or {}
    unmet = [it for it in status.get("conditions") or () if it.get("status") == "False"]
    unscheduled = [it.get("message", "") for it in unmet if it.get("type") == "PodScheduled"]
    said = [it for it in (waiting.get("message"), waiting.get("reason"), *unscheduled) if it]
    return said[0] if said else "its pod is being prepared"


def _why_nothing(job: JobOnCluster, steps: Sequence[str]) -> str:
    """What the job says of the first of these steps that says anything."""
    status = job.status
    said = {it.name: it for it in (*status.steps, *status.islands)}
    for step in (said[it] for it in steps if it in said):
        gone = step.state in ("Succeeded", "Failed")
        return f"{step.name}: {'its pod is gone' if gone else step.message or step.state}"
    return f"the job is {status.state}"
