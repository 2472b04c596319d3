"""The client against a real API server whose connection breaks, hangs or is not there."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from kube_api_server import KubeApiServer, shared_server
from kube_objects import config_map
from kubectl import Kubectl
from tcp_proxy import TcpProxy

from atoll_operator.errors import (
    NoClusterError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from atoll_operator.kubernetes.api import Key, Request, Selection, WatchLimits, key_of
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration
from atoll_operator.kubernetes.resources import CONFIG_MAPS, DEFINITIONS

MAPS = Selection(CONFIG_MAPS, "default")
IMPATIENT = ClientOptions(timeout_seconds=1.0)


@pytest.fixture(scope="module")
def server() -> KubeApiServer:
    return shared_server()


@pytest.fixture
def proxy(server: KubeApiServer) -> Iterator[TcpProxy]:
    with TcpProxy(f"127.0.0.1:{server.port}") as found:
        yield found


@pytest.fixture
async def api(server: KubeApiServer, proxy: TcpProxy) -> AsyncIterator[ApiServer]:
    configuration = await read_configuration(server.kubeconfig_of(proxy.address))
    async with ApiServer(configuration, IMPATIENT) as found:
        yield found


async def test_requests_are_counted(server: KubeApiServer) -> None:
    seen: list[Request] = []
    configuration = await read_configuration(server.kubeconfig)
    async with ApiServer(configuration, on_request=seen.append) as api:
        await api.list_page(MAPS)
        with pytest.raises(NotFoundError):
            await api.merge_patch(CONFIG_MAPS, Key("default", "none"), {}, subresource="status")
    assert [(it.verb, it.resource, it.code) for it in seen] == [
        ("list", "configmaps", 200),
        ("patch", "configmaps/status", 404),
    ]
    assert all(0 < it.seconds < 60 for it in seen)


async def test_a_request_without_an_answer_is_given_up_and_counted(
    server: KubeApiServer, proxy: TcpProxy
) -> None:
    seen: list[Request] = []
    configuration = await read_configuration(server.kubeconfig_of(proxy.address))
    async with ApiServer(configuration, IMPATIENT, seen.append) as api:
        proxy.frozen.set()
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="get configmaps: no answer in time") as caught:
            await api.get(CONFIG_MAPS, Key("default", "one"))
    assert caught.value.retryable
    assert time.monotonic() - began < 5
    assert [it.code for it in seen] == [0]


async def test_a_silent_watch_is_given_up(api: ApiServer, proxy: TcpProxy) -> None:
    version = (await api.list_page(MAPS)).resource_version
    made = await api.create(CONFIG_MAPS, config_map("default", "heard"))
    limits = WatchLimits(server_seconds=60, silence_seconds=0.5)
    async with aclosing(api.watch(MAPS, version, limits)) as events:
        await anext(events)
        proxy.frozen.set()
        with pytest.raises(UnavailableError, match="watch configmaps: no answer in time"):
            await anext(events)
    proxy.frozen.clear()
    await api.delete(CONFIG_MAPS, key_of(made))


async def test_a_broken_connection_is_replaced(api: ApiServer, proxy: TcpProxy) -> None:
    page = await api.list_page(MAPS)
    proxy.cut_after("up", 10)
    with pytest.raises(UnavailableError):
        await api.create(CONFIG_MAPS, config_map("default", "cut"))
    assert (await api.list_page(MAPS)).items == page.items


async def test_an_abandoned_watch_gives_its_connection_back(server: KubeApiServer) -> None:
    configuration = await read_configuration(server.kubeconfig)
    async with ApiServer(configuration, ClientOptions(max_connections=1)) as api:
        version = (await api.list_page(MAPS)).resource_version
        made = await api.create(CONFIG_MAPS, {**config_map("default", "abandoned")})
        async with aclosing(api.watch(MAPS, version, WatchLimits())) as events:
            await anext(events)
        await asyncio.wait_for(api.delete(CONFIG_MAPS, key_of(made)), 5)


async def test_an_object_may_be_larger_than_any_buffer(api: ApiServer) -> None:
    version = (await api.list_page(MAPS)).resource_version
    made = await api.create(CONFIG_MAPS, config_map("default", "large", text="x" * 900_000))
    async with aclosing(api.watch(MAPS, version, WatchLimits())) as events:
        await anext(events)
    await api.delete(CONFIG_MAPS, key_of(made))


async def test_a_wrong_token_is_not_known(server: KubeApiServer, tmp_path: Path) -> None:
    document = json.loads(server.kubeconfig.read_text())
    document["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "kubeconfig").write_text(json.dumps(document))
    async with ApiServer(await read_configuration(tmp_path / "kubeconfig")) as api:
        with pytest.raises(UnauthorizedError):
            await api.list_page(Selection(DEFINITIONS))


async def test_no_server_is_no_answer(tmp_path: Path, server: KubeApiServer) -> None:
    kubeconfig = server.kubeconfig_of("127.0.0.1:9")
    async with ApiServer(await read_configuration(kubeconfig)) as api:
        with pytest.raises(UnavailableError, match="list configmaps: Cannot connect"):
            await api.list_page(MAPS)


async def test_a_cluster_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(NoClusterError, match="no cluster to speak to"):
        await read_configuration(tmp_path / "none")


async def test_who_sets_a_field_is_known_by_its_name(server: KubeApiServer) -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl: the client drops managedFields")
    configuration = await read_configuration(server.kubeconfig)
    async with ApiServer(configuration, ClientOptions(user_agent="somebody else")) as api:
        made = await api.create(CONFIG_MAPS, config_map("default", "signed", text="x"))
        kubectl = Kubectl(program, str(server.kubeconfig), "default")
        found = kubectl.run("get", "cm", "signed", "--show-managed-fields", "-o", "json")
        managers = {it["manager"] for it in json.loads(found)["metadata"]["managedFields"]}
        assert managers == {"somebody else"}
        await api.delete(CONFIG_MAPS, key_of(made))
