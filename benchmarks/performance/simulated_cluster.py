"""What a bare API server lacks, simulated in this process: controllers, kubelets and hubs.

A Job gets its pods, which run nothing and end when they are told to; a StatefulSet gets the one pod
of a hub, and with it a gRPC server of mutual TLS on loopback, with the hub's own certificate, that
says what a step which has succeeded would have bound. Deleted Jobs take their pods with them, and
deleted TrainingJobs all that they owned. It must not know the operator: it sees objects alone.

For a few jobs at a time and for hours; for thousands at once there is KWOK (`operator_nodes.py`).
"""

import asyncio
import base64
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc

from atoll.exchange.v1 import exchange_pb2 as pb
from atoll.progress.v1 import progress_pb2 as progress_pb
from atoll_api import names, resolved_job
from atoll_api.names import Process, StepName
from atoll_api.work_order import refs_written
from atoll_operator.errors import ApiError, ConflictError, NotFoundError
from atoll_operator.kubernetes.api import Api, Json, Key, Resource, Selection, key_of
from atoll_operator.kubernetes.manifests import identities
from atoll_operator.kubernetes.resources import (
    CLAIMS,
    CONFIG_MAPS,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from atoll_operator.kubernetes.watching import Interest, Mirror

_EXCHANGE: Final = pb.DESCRIPTOR.services_by_name["ExchangeService"].full_name
_PROGRESS: Final = progress_pb.DESCRIPTOR.services_by_name["ProgressService"].full_name
OURS: Final = f"app.kubernetes.io/managed-by={names.MANAGER}"
OWNED: Final = (
    JOBS,
    PODS,
    STATEFUL_SETS,
    SECRETS,
    CONFIG_MAPS,
    SERVICES,
    NETWORK_POLICIES,
    CLAIMS,
)
FINAL_CODE: Final = 65
"""An exit code that is not tried again."""


@dataclass(frozen=True)
class Seen:
    """A Job or a StatefulSet."""

    resource: Resource
    key: Key
    uid: str
    job: str
    role: str
    deleting: bool
    ended: bool
    replicas: int


class Hub:
    """One hub: what is bound, as its operator asks for it, and none of the other calls."""

    def __init__(self) -> None:
        self.bound: dict[str, pb.Binding] = {}
        self.steps: dict[str, progress_pb.StepProgress] = {}

    async def snapshot(self, _request: Any, _context: Any) -> progress_pb.GetSnapshotResponse:
        """All of it."""
        steps, bound = self.steps.values(), self.bound.values()
        return progress_pb.GetSnapshotResponse(steps=steps, bindings=bound)

    async def drop(self, request: pb.DropRequest, _context: Any) -> pb.DropResponse:
        """Unbind."""
        gone = [ref for ref in request.refs if self.bound.pop(ref, None)]
        return pb.DropResponse(refs=gone)

    async def excuse(self, request: pb.ExcuseRequest, _context: Any) -> pb.ExcuseResponse:
        """Bind to nothing."""
        self.bind(request.ref)
        return pb.ExcuseResponse(binding=self.bound[request.ref])

    def answer_on(self, server: grpc.aio.Server) -> None:
        """Its three calls."""
        calls: dict[str, dict[str, tuple[Any, Any]]] = {
            _PROGRESS: {"GetSnapshot": (self.snapshot, progress_pb.GetSnapshotRequest)},
            _EXCHANGE: {
                "Drop": (self.drop, pb.DropRequest),
                "Excuse": (self.excuse, pb.ExcuseRequest),
            },
        }
        for service, methods in calls.items():
            handlers: dict[str, Any] = {
                name: grpc.unary_unary_rpc_method_handler(
                    method, kind.FromString, lambda answer: answer.SerializeToString()
                )
                for name, (method, kind) in methods.items()
            }
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )

    def bind(self, ref: str) -> None:
        """A step has published this."""
        digest = f"blake3:{ref.encode().hex():0>64}"[:71]
        self.bound.setdefault(ref, pb.Binding(ref=ref, manifest_digest=digest, size_bytes=1))

    def report(self, step: str, done: int, total: int) -> None:
        """A step has come so far."""
        self.steps[step] = progress_pb.StepProgress(
            step_name=step, done_count=done, total_count=total, loss=1.0 / (1 + done)
        )


@dataclass
class Served:
    """A hub that answers."""

    hub: Hub
    server: grpc.aio.Server
    uid: str


class SimulatedCluster:
    """Of one namespace. Run `run` in a task."""

    def __init__(self, api: Api, namespace: str, addresses: Path, step_seconds: float) -> None:
        """A cluster in which every step takes so long.

        Args:
            api: as a user that may do anything.
            namespace: whose objects it runs.
            addresses: a folder; a file for each hub that is up, named like the HOST:PORT that its
                job knows, has the one where it really answers.
            step_seconds: of every pod of a Job.
        """
        self._api = api
        self._namespace = namespace
        self._addresses = addresses
        self._step_seconds = step_seconds
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._served: dict[str, Served] = {}
        """By the name of the TrainingJob."""
        self._up: dict[str, asyncio.Event] = {}
        """Set once its hub serves."""
        self._mirrors = [self._mirror(it) for it in (JOBS, STATEFUL_SETS)]
        self.failing: set[str] = set()
        """Jobs whose islands fail for good."""
        self.dead: set[str] = set()
        """TrainingJobs that are deleted: whatever is made for one later goes too."""

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for mirror in self._mirrors:
                    group.create_task(mirror.run())
        finally:
            for job in list(self._served):
                await self._end_hub(job)

    async def collect(self, job: str) -> None:
        """Delete what a TrainingJob owned, as the garbage collector does."""
        self.dead.add(job)
        self.failing.discard(job)
        await self._end_hub(job)
        for resource in OWNED:
            selection = Selection(resource, self._namespace, f"{names.LABEL_JOB}={job}")
            for body in (await self._api.list_page(selection)).items:
                await self._remove(resource, key_of(body), body["metadata"].get("finalizers"))

    async def left(self) -> int:
        """How many objects of jobs there are."""
        count = 0
        for resource in OWNED:
            page = await self._api.list_page(Selection(resource, self._namespace, OURS))
            count += len(page.items)
        return count

    def _mirror(self, resource: Resource) -> Mirror[Seen, Seen]:
        def project(body: Json) -> Seen | None:
            metadata, labels = body["metadata"], body["metadata"].get("labels") or {}
            conditions = (body.get("status") or {}).get("conditions") or ()
            return Seen(
                resource=resource,
                key=key_of(body),
                uid=metadata["uid"],
                job=labels.get(names.LABEL_JOB, ""),
                role=labels.get(names.LABEL_ROLE, ""),
                deleting="deletionTimestamp" in metadata,
                ended=any(it["type"] in ("Complete", "Failed") for it in conditions),
                replicas=(body.get("spec") or {}).get("replicas", 1),
            )

        interest = Interest(Selection(resource, self._namespace, OURS), project, lambda it: it)
        return Mirror(self._api, interest, self._wake, random.random)

    def _wake(self, seen: Seen) -> None:
        assert self._group is not None
        self._group.create_task(self._look(seen))

    async def _look(self, woken: Seen) -> None:
        mirror = self._mirrors[woken.resource is STATEFUL_SETS]
        known = self._tasks.get(woken.key)
        found = mirror.get(woken.key)
        gone, seen = found is None, found or woken
        if gone or seen.deleting or (seen.resource is STATEFUL_SETS and not seen.replicas):
            await self._end(seen, known, gone=gone)
        elif known is None and not seen.ended:
            assert self._group is not None
            work = self._serve(seen) if seen.resource is STATEFUL_SETS else self._work(seen)
            self._tasks[seen.key] = self._group.create_task(_patiently(work))

    async def _end(self, seen: Seen, task: asyncio.Task[None] | None, *, gone: bool) -> None:
        if task is not None:
            self._tasks.pop(seen.key, None)
            task.cancel()
        if seen.resource is STATEFUL_SETS:
            await self._end_hub(seen.job)
        if task is None and gone:
            return
        selection = Selection(PODS, self._namespace, f"{names.LABEL_JOB}={seen.job}")
        for body in (await self._api.list_page(selection)).items:
            if body["metadata"]["ownerReferences"][0]["uid"] == seen.uid:
                await self._remove(PODS, key_of(body), None)
        if seen.deleting and not gone:
            await self._unbolt(seen.resource, seen.key)

    async def _remove(self, resource: Resource, key: Key, finalizers: list[str] | None) -> None:
        with suppress(NotFoundError):
            await self._api.delete(resource, key)
            if finalizers:
                await self._unbolt(resource, key)

    async def _unbolt(self, resource: Resource, key: Key) -> None:
        """What was deleted in the foreground waits for its pods to be gone: they are."""
        with suppress(NotFoundError, ConflictError):
            await self._api.merge_patch(resource, key, {"metadata": {"finalizers": None}})

    async def _serve(self, seen: Seen) -> None:
        """The pod of a hub, and the hub."""
        body = await self._api.get(STATEFUL_SETS, seen.key)
        await self._start_hub(seen.job, seen.uid, body)
        await self._run_pods(body, [None])

    async def _start_hub(self, job: str, uid: str, body: Json) -> None:
        await self._end_hub(job)
        resolved, authority = await self._resolved(job, body)
        shard = Key(self._namespace, identities.secret_of(resolved, StepName(names.HUB)))
        secret = (await self._api.get(SECRETS, shard))["data"]
        hub = StepName(names.HUB)
        key = base64.b64decode(secret[identities.private_key(hub)])
        certificate = base64.b64decode(secret[identities.certificate_key(hub)])
        proof = grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority, require_client_auth=True
        )
        it = Served(Hub(), grpc.aio.server(), uid)
        it.hub.answer_on(it.server)
        port = it.server.add_secure_port("127.0.0.1:0", proof)
        await it.server.start()
        self._served[job] = it
        self._up.setdefault(job, asyncio.Event()).set()
        self._file_of(job).write_text(f"127.0.0.1:{port}")

    async def _end_hub(self, job: str) -> None:
        served = self._served.pop(job, None)
        if served is not None:
            self._up.pop(job, None)
            self._file_of(job).unlink(missing_ok=True)
            await served.server.stop(0)

    def _file_of(self, job: str) -> Path:
        return self._addresses / f"{names.hub_object(job)}.{self._namespace}.svc:{names.HUB_PORT}"

    async def _resolved(self, job: str, body: Json) -> tuple[resolved_job.ResolvedJob, bytes]:
        uid = body["metadata"]["ownerReferences"][0]["uid"]
        key = Key(self._namespace, names.job_object(job, uid))
        data = (await self._api.get(CONFIG_MAPS, key))["data"]
        parsed = resolved_job.parse(data[resolved_job.JOB_FILE])
        return parsed, data[resolved_job.AUTHORITY_FILE].encode()

    async def _work(self, seen: Seen) -> None:
        """The pods of a Job, and its end. Processes wait for their hub."""
        body = await self._api.get(JOBS, seen.key)
        indexed = body["spec"].get("completionMode") == "Indexed"
        indexes: list[int | None] = [*range(body["spec"]["completions"])] if indexed else [None]
        began = _now()
        keys = await self._run_pods(body, indexes)
        await self._put_status(JOBS, seen.key, {"startTime": began, "active": len(keys)})
        self._report(seen, body, 1, 2)
        served = await self._served_hub(seen.job)
        await asyncio.sleep(self._step_seconds)
        if seen.job in self.failing and seen.role == names.ISLAND:
            await self._fail(seen, keys, began)
            return
        resolved, _ = await self._resolved(seen.job, body)
        for step in _processes(body, indexes):
            for ref in refs_written(resolved_job.order_of(resolved, step)):
                served.hub.bind(ref)
        self._report(seen, body, 2, 2)
        for key in keys:
            await self._put_status(PODS, key, _ended(began, 0))
        count = len(keys)
        done = {"completedIndexes": f"0-{count - 1}" if count > 1 else "0"} if indexed else {}
        common = {"startTime": began, "active": None, "ready": 0, "succeeded": count, **done}
        await self._put_status(JOBS, seen.key, {**common, **_complete()})

    async def _served_hub(self, job: str) -> Served:
        """Waits for it."""
        while job not in self._served:
            await self._up.setdefault(job, asyncio.Event()).wait()
        return self._served[job]

    async def _fail(self, seen: Seen, keys: list[Key], began: str) -> None:
        for key in keys:
            await self._put_status(PODS, key, _ended(began, FINAL_CODE))
        status = {"startTime": began, "active": None, "ready": 0, "failed": len(keys)}
        await self._put_status(JOBS, seen.key, {**status, **_failed()})

    def _report(self, seen: Seen, body: Json, done: int, total: int) -> None:
        served = self._served.get(seen.job)
        if served is not None:
            count = body["spec"].get("completions") or 1
            for process in _processes(body, [*range(count)] if count > 1 else [None]):
                served.hub.report(process.step, done, total)

    async def _run_pods(self, owner: Json, indexes: list[int | None]) -> list[Key]:
        """Pods that run."""
        keys = []
        for index in indexes:
            body = _pod(owner, index)
            made = await self._api.create(PODS, body)
            key = key_of(made)
            await self._put_status(PODS, key, _running())
            keys.append(key)
        return keys

    async def _put_status(self, resource: Resource, key: Key, status: Json) -> None:
        await self._api.merge_patch(resource, key, {"status": status}, subresource="status")


async def _patiently(work: Any) -> None:
    """What is gone meanwhile is gone; a job that is deleted takes all with it."""
    with suppress(ApiError, KeyError):
        await work


def _processes(body: Json, indexes: list[int | None]) -> Iterator[Process]:
    metadata = body["metadata"]
    labels, uid = metadata["labels"], metadata["ownerReferences"][0]["uid"]
    for index in indexes:
        number = int(labels.get(names.LABEL_ISLAND, 0)) if index is None else index
        yield Process(uid, labels[names.LABEL_ROLE], number)


def _pod(owner: Json, index: int | None) -> Json:
    metadata, template = owner["metadata"], owner["spec"]["template"]
    suffix = f"{0 if index is None else index}-{random.getrandbits(24):06x}"
    annotations = {} if index is None else {names.LABEL_COMPLETION_INDEX: str(index)}
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": metadata["namespace"],
            "name": f"{metadata['name'][:50]}-{suffix}",
            "labels": {**metadata["labels"], **(template["metadata"].get("labels") or {})},
            "annotations": annotations,
            "ownerReferences": [reference],
        },
        "spec": template["spec"],
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _running() -> Json:
    running = {"running": {"startedAt": _now()}}
    return {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [_container(running, ready=True)],
    }


def _ended(began: str, code: int) -> Json:
    ended = {"exitCode": code, "startedAt": began, "finishedAt": _now()}
    return {
        "phase": "Failed" if code else "Succeeded",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [_container({"terminated": ended}, ready=False)],
    }


def _container(state: Mapping[str, Any], *, ready: bool) -> Json:
    return {
        "name": "atoll",
        "image": "worker",
        "imageID": "worker",
        "ready": ready,
        "restartCount": 0,
        "state": dict(state),
    }


def _complete() -> Json:
    kinds = ("SuccessCriteriaMet", "Complete")
    conditions = [{"type": it, "status": "True", "reason": "CompletionsReached"} for it in kinds]
    return {"completionTime": _now(), "conditions": conditions}


def _failed() -> Json:
    kinds = ("FailureTarget", "Failed")
    said = {"reason": "PodFailurePolicy", "message": f"exit code {FINAL_CODE}"}
    return {"conditions": [{"type": it, "status": "True", **said} for it in kinds]}
