"""The mirror against a real API server, through a connection that is cut and frozen."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from kube_api_server import shared_server
from kube_objects import config_map
from kube_worlds import World, world
from tcp_proxy import TcpProxy

from atoll_operator.kubernetes.api import Json, Key, Selection, WatchLimits
from atoll_operator.kubernetes.backoff import Backoff
from atoll_operator.kubernetes.client import ApiServer, ClientOptions, read_configuration
from atoll_operator.kubernetes.resources import CONFIG_MAPS
from atoll_operator.kubernetes.watching import Interest, Mirror, Patience

PATIENCE = Patience(
    limits=WatchLimits(server_seconds=60, silence_seconds=1.0),
    backoff=Backoff(first_seconds=0.1, max_seconds=1.0),
    page_size=3,
)


@dataclass
class Scene:
    """A mirror behind a proxy, and the API that it does not go through."""

    place: World
    proxy: TcpProxy
    mirror: Mirror[str, str]
    woken: asyncio.Event

    def names(self) -> list[str]:
        return sorted(self.mirror.of("all").values())

    async def shows(self, *names: str) -> None:
        async with asyncio.timeout(30):
            while self.names() != list(names):
                self.woken.clear()
                await self.woken.wait()


def project(body: Json) -> str | None:
    name = str(body["metadata"]["name"])
    return name if name.startswith("m") else None


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    server = shared_server()
    woken = asyncio.Event()
    with TcpProxy(f"127.0.0.1:{server.port}") as proxy:
        configuration = await read_configuration(server.kubeconfig_of(proxy.address))
        options = ClientOptions(timeout_seconds=2.0)
        async with (
            world("real", server.kubeconfig) as place,
            ApiServer(configuration, options) as api,
        ):
            interest = Interest(Selection(CONFIG_MAPS, place.namespace), project, lambda _: "all")
            mirror = Mirror(api, interest, lambda _: woken.set(), random.random, PATIENCE)
            for number in range(8):
                await place.api.create(CONFIG_MAPS, config_map(place.namespace, f"m{number}"))
            run = asyncio.ensure_future(mirror.run())
            yield Scene(place, proxy, mirror, woken)
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run


async def test_nothing_is_lost_while_the_connection_is(scene: Scene) -> None:
    place, eight = scene.place, [f"m{number}" for number in range(8)]
    await scene.shows(*eight)
    assert scene.mirror.age() < 30
    scene.proxy.frozen.set()
    await place.api.delete(CONFIG_MAPS, Key(place.namespace, "m3"))
    await place.api.create(CONFIG_MAPS, config_map(place.namespace, "m8"))
    scene.proxy.cut_after("down", 1)
    scene.proxy.frozen.clear()
    await scene.shows(*(name for name in [*eight, "m8"] if name != "m3"))
    await place.api.delete(CONFIG_MAPS, Key(place.namespace, "m8"))
    await scene.shows(*(name for name in eight if name != "m3"))
