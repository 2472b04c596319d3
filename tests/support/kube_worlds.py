"""One API, in memory and behind a real server, for the suites that both have to pass."""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kube_api_server import shared_kubeconfig

from atoll_api.crd import custom_resource_definition
from atoll_operator.errors import AlreadyExistsError
from atoll_operator.kubernetes.api import (
    Api,
    Changed,
    Json,
    Key,
    Resource,
    Selection,
    WatchLimits,
    key_of,
    version_of,
)
from atoll_operator.kubernetes.client import ApiServer, read_configuration
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.resources import DEFINITIONS, NAMESPACES


@dataclass(frozen=True)
class World:
    """An API and a namespace that nobody else uses."""

    api: Api
    namespace: str
    ancient: str
    """A version that is forgotten."""


@asynccontextmanager
async def world(kind: str, kubeconfig: Path | None = None) -> AsyncIterator[World]:
    """`fake`, or `real`: behind that kubeconfig, else behind whatever there is."""
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    if kind == "fake":
        server = FakeServer(check=_refuse_capitals)
        server.put(NAMESPACES, _namespace("default"))
        ancient = server.version
        server.put(NAMESPACES, _namespace(namespace))
        server.compact()
        yield World(FakeApi(server), namespace, ancient)
        return
    async with ApiServer(await read_configuration(kubeconfig or shared_kubeconfig())) as api:
        await api.create(NAMESPACES, _namespace(namespace))
        await _define_training_jobs(api)
        try:
            yield World(api, namespace, "1")
        finally:
            await api.delete(NAMESPACES, Key("", namespace))


async def _define_training_jobs(api: Api) -> None:
    body = custom_resource_definition()
    with suppress(AlreadyExistsError):
        await api.create(DEFINITIONS, body)
    found = await api.get(DEFINITIONS, key_of(body))
    if _is_served(found):
        return
    limits = WatchLimits(server_seconds=30)
    async with aclosing(api.watch(Selection(DEFINITIONS), version_of(found), limits)) as events:
        async for event in events:
            if isinstance(event, Changed) and _is_served(event.object):
                return
    raise AssertionError("the definition of TrainingJobs was not established")


def _is_served(definition: Json) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(it["type"] == "Established" and it["status"] == "True" for it in conditions)


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _refuse_capitals(_resource: Resource, new: Json, _old: Json | None) -> str:
    """A rule that the real server has too."""
    name = str(new["metadata"]["name"])
    return "" if name.islower() else f"metadata.name: {name!r} has capitals"
