"""What an operator sees of its jobs, and what it does without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from kube_objects import core_event, job, owned_by
from virtual_time import in_virtual_time

from atoll_api import names
from atoll_operator.errors import ApiError, ForbiddenError
from atoll_operator.kubernetes.api import Json, Key, Page, Propagation, Selection
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.resources import CORE_EVENTS, JOBS
from atoll_operator.kubernetes.world import Wiring, World, watches

DIGITS = Key("team", "digits")
QUOTA = 'Error creating: pods "digits-partition-x" is forbidden: exceeded quota: compute'
SAID = {"digits-partition": "its pod cannot be made: exceeded quota: compute"}


class _Secretive(FakeApi):
    """Whose events are not for everybody."""

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = ""
    ) -> Page:
        if selection.resource == CORE_EVENTS:
            raise ForbiddenError("events is forbidden")
        return await super().list_page(selection, limit=limit, continue_token=continue_token)


@dataclass
class Watcher:
    """A world that runs, whom it woke and what it was told."""

    api: FakeApi = field(default_factory=FakeApi)
    woken: list[Key] = field(default_factory=list)
    troubles: list[ApiError] = field(default_factory=list)

    @asynccontextmanager
    async def world(self, *namespaces: str) -> AsyncIterator[World]:
        wiring = Wiring(self.woken.append, lambda: 0.5, self.troubles.append)
        world = World(self.api, namespaces, wiring)
        going = asyncio.create_task(world.run())
        await world.synced()
        yield world
        going.cancel()
        with suppress(asyncio.CancelledError):
            await going

    def make_job(self, namespace: str = "team") -> Json:
        labels = names.labels("digits", "1", "partition")
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": "digits", "uid": "digits-uid"},
        }
        body = owned_by(job(namespace, "digits-partition", labels), owner)
        return self.api.server.create(JOBS, body)

    def tell(self, body: Json, message: str = QUOTA, at: str = "2026-11-22T01:23:56Z") -> None:
        metadata = body["metadata"]
        key = Key(metadata["namespace"], f"{metadata['name']}.1")
        told = core_event(
            *(key, "Job"),
            uid=metadata["uid"],
            name=metadata["name"],
            reason="FailedCreate",
            message=message,
            at=at,
        )
        self.api.server.put(CORE_EVENTS, told)


@in_virtual_time
async def test_an_event_wakes_its_job_and_is_in_the_scene() -> None:
    here = Watcher()
    made = here.make_job()
    async with here.world() as world:
        assert world.scene(DIGITS, "digits-uid").troubles == {}
        here.woken.clear()
        here.tell(made)
        await asyncio.sleep(0.1)
        assert here.woken == [DIGITS]
        assert world.scene(DIGITS, "digits-uid").troubles == SAID
        assert world.scene(DIGITS, "of-another-job").troubles == {}


@in_virtual_time
async def test_an_event_of_an_earlier_object_of_that_name_is_not_shown() -> None:
    here = Watcher()
    made = here.make_job()
    here.api.server.delete(JOBS, Key("team", "digits-partition"), Propagation.BACKGROUND, "")
    here.tell(made)
    del made["metadata"]["resourceVersion"]
    async with here.world() as world:
        await asyncio.sleep(0.1)
        assert world.scene(DIGITS, "digits-uid").troubles == {}
        uid = here.api.server.create(JOBS, made)["metadata"]["uid"]
        here.tell({**made, "metadata": {**made["metadata"], "uid": uid}})
        await asyncio.sleep(0.1)
        assert world.scene(DIGITS, "digits-uid").troubles == SAID


@in_virtual_time
async def test_what_the_server_forgets_is_forgotten() -> None:
    here = Watcher()
    here.tell(here.make_job())
    async with here.world() as world:
        await asyncio.sleep(0.1)
        assert world.scene(DIGITS, "digits-uid").troubles == SAID
        key = Key("team", "digits-partition.1")
        here.api.server.delete(CORE_EVENTS, key, Propagation.BACKGROUND, "")
        await asyncio.sleep(0.1)
        assert world.scene(DIGITS, "digits-uid").troubles == {}


@in_virtual_time
async def test_without_leave_to_read_events_all_else_works_and_that_is_said_once() -> None:
    here = Watcher(_Secretive())
    made = here.make_job()
    here.tell(made)
    async with here.world() as world:
        assert world.is_synced()
        await asyncio.sleep(500)
        assert world.age() < 100, "a probe must not end the operator for that"
        assert world.scene(DIGITS, "digits-uid").jobs.keys() == {"digits-partition"}
        assert [type(it) for it in here.troubles] == [ForbiddenError]


@in_virtual_time
async def test_of_some_namespaces_only_theirs_are_watched() -> None:
    here = Watcher()
    here.tell(here.make_job("elsewhere"))
    async with here.world("team", "lab"):
        await asyncio.sleep(0.1)
        here.tell(here.make_job("team"))
        await asyncio.sleep(0.1)
        assert {key.namespace for key in here.woken} == {"team"}
        asked = [it for it in here.api.requests if it.verb == "watch"]
        assert len(asked) == watches(("team", "lab")) == 8
    assert watches(()) == 4


@in_virtual_time
async def test_each_kind_has_an_age_of_its_own() -> None:
    here = Watcher()
    async with here.world("team", "lab") as world:
        await asyncio.sleep(10)
        assert world.ages() == {"jobs": 10.0, "pods": 10.0, "statefulsets": 10.0}
        here.make_job()
        await asyncio.sleep(5)
        assert world.ages()["jobs"] == 15.0, "that of the namespace where nothing was heard"
        here.make_job("lab")
        await asyncio.sleep(0.5)
        assert world.ages() == {"jobs": 5.5, "pods": 15.5, "statefulsets": 15.5}
    idle = World(FakeApi(), (), Wiring(here.woken.append, lambda: 0.5, here.troubles.append))
    assert set(idle.ages().values()) == {float("inf")}
