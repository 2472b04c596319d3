"""kopf with the rights of the chart and no others: it sees jobs, writes nothing, misses nothing."""

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import kopf
import pytest
import yaml
from helm import CHART, IMAGES, Release, Values
from kube_api_server import KubeApiServer, find_binaries
from kubectl import Kubectl

from atoll_api import names

JOB = yaml.safe_load((CHART.parents[1] / "examples/smallest.yaml").read_text())
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[KubeApiServer]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no API server: etcd and kube-apiserver are not there (KUBEBUILDER_ASSETS)")
    found = KubeApiServer(binaries)
    yield found
    found.kill()


@pytest.fixture(scope="module")
def kubectl(server: KubeApiServer) -> Kubectl:
    binaries = find_binaries()
    program = shutil.which("kubectl") or (binaries and str(binaries.etcd.parent / "kubectl"))
    found = Kubectl(str(program), str(server.kubeconfig), "jobs")
    for name in ("jobs", "others"):
        found.run("create", "namespace", name)
    return found


def token_of_an_operator(kubectl: Kubectl, name: str, values: Values) -> str:
    kubectl.run("create", "namespace", name)
    Release(kubectl.kubeconfig, name, name).install({**IMAGES, **values}, "--take-ownership")
    definition = f"customresourcedefinition/{names.PLURAL}.{names.GROUP}"
    kubectl.run("wait", "--for=condition=Established", definition, "--timeout=30s")
    return kubectl.run("create", "token", f"{name}-operator", "-n", name).strip()


@asynccontextmanager
async def watching(
    server: KubeApiServer, token: str, **where: Any
) -> AsyncIterator[asyncio.Queue[str]]:
    """The names of the jobs that kopf sees, as the operator sets it up."""
    seen: asyncio.Queue[str] = asyncio.Queue()
    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        authority = str(server.kubeconfig.parent / "apiserver.crt")
        return kopf.ConnectionInfo(
            server=f"https://127.0.0.1:{server.port}", ca_path=authority, token=token
        )

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def see(namespace: str | None, name: str, **_: Any) -> None:
        await seen.put(f"{namespace}/{name}")

    stop = asyncio.Event()
    running = asyncio.create_task(
        kopf.operator(
            registry=registry, settings=settings, standalone=True, stop_flag=stop, **where
        )
    )
    try:
        yield seen
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("watched", [(), ("jobs",)], ids=["all namespaces", "some"])
async def test_kopf_needs_no_more_than_the_chart_grants(
    server: KubeApiServer,
    kubectl: Kubectl,
    caplog: pytest.LogCaptureFixture,
    watched: tuple[str, ...],
) -> None:
    values = {"watchNamespaces": list(watched)}
    token = token_of_an_operator(kubectl, f"atoll-{len(watched)}", values)
    where: dict[str, Any] = {"namespaces": watched} if watched else {"clusterwide": True}
    job = JOB | {"metadata": {"name": f"job-{len(watched)}"}}
    with caplog.at_level(logging.WARNING):
        async with watching(server, token, **where) as seen:
            await asyncio.to_thread(kubectl.apply, job)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await seen.get() != f"jobs/job-{len(watched)}":
                    pass
            found = kubectl.run(
                "get", "trainingjob", f"job-{len(watched)}", "-o", "json", "--show-managed-fields"
            )
    assert [it.getMessage() for it in caplog.records] == []
    metadata = json.loads(found)["metadata"]
    assert "finalizers" not in metadata
    managers = {it["manager"] for it in metadata["managedFields"]}
    assert managers == {"kubectl-client-side-apply"}, "kopf has written to it"
