"""What the fake does beyond the suite it shares with the real server: faults and garbage."""

import asyncio
from contextlib import aclosing, suppress

import pytest
from kube_objects import config_map, job, owned_by
from virtual_time import in_virtual_time

from atoll_operator.errors import ApiError, NotFoundError, TooManyRequestsError, UnavailableError
from atoll_operator.kubernetes.api import (
    Bookmark,
    Changed,
    Key,
    Propagation,
    Request,
    Selection,
    WatchEvent,
    WatchLimits,
    key_of,
)
from atoll_operator.kubernetes.fake_api import Asked, FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.faults import DropWatches, Fault, Faults, KilledError, When
from atoll_operator.kubernetes.resources import CONFIG_MAPS, JOBS

ONE = Key("here", "one")
LIMITS = WatchLimits()
MAPS = Selection(CONFIG_MAPS)


async def story(api: FakeApi) -> None:
    await api.create(CONFIG_MAPS, config_map(*ONE))
    await api.merge_patch(CONFIG_MAPS, ONE, {"data": {"a": "1"}})
    await api.delete(CONFIG_MAPS, ONE)


async def test_requests_are_on_record() -> None:
    api = FakeApi()
    await story(api)
    assert api.requests == [
        Asked("create", "configmaps", ONE),
        Asked("patch", "configmaps", ONE),
        Asked("delete", "configmaps", ONE),
    ]


async def test_requests_are_told_as_the_real_one_tells_them() -> None:
    told: list[Request] = []
    api = FakeApi(faults=(Fault(1, UnavailableError("no answer")),), on_request=told.append)
    api.seconds_after = 0.01
    with suppress(UnavailableError):
        await story(api)
    with suppress(NotFoundError):
        await api.merge_patch(JOBS, ONE, {}, subresource="status")
    said = [(it.verb, it.resource, it.code) for it in told]
    assert said == [
        ("create", "configmaps", 201),
        ("patch", "configmaps", 0),
        ("patch", "jobs/status", 404),
    ]
    assert told[0].seconds >= 0.01


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_process_can_be_killed_at_every_request(at: int, when: When) -> None:
    api = FakeApi(faults=(Fault(at, KilledError(), when),))
    with pytest.raises(KilledError):
        await story(api)
    done = at + (when is When.AFTER)
    assert (ONE in api.server.objects(CONFIG_MAPS)) is (done in (1, 2))
    with pytest.raises(KilledError):
        await api.get(CONFIG_MAPS, ONE)
    assert len(api.requests) == at + 1
    if done != 3:  # another process finds what the dead one left
        assert (done == 0) == (ONE not in FakeApi(api.server).server.objects(CONFIG_MAPS))


async def test_an_error_at_one_request_is_of_that_request() -> None:
    error = TooManyRequestsError("later", retry_after_seconds=1)
    api = FakeApi(faults=(Fault(0, error),))
    with pytest.raises(TooManyRequestsError) as caught:
        await api.create(CONFIG_MAPS, config_map(*ONE))
    assert caught.value.retry_after_seconds == 1
    await story(api)


async def heard(api: FakeApi, limits: WatchLimits = LIMITS) -> list[WatchEvent | ApiError]:
    """Everything a watch from now on tells, and what it ended with."""
    found: list[WatchEvent | ApiError] = []
    try:
        async with aclosing(api.watch(MAPS, api.server.version, limits)) as events:
            async for event in events:
                found += [event]
    except ApiError as error:
        found.append(error)
    return found


@in_virtual_time
async def test_watches_break_after_a_request() -> None:
    faults: Faults = (DropWatches(at=2),)
    api = FakeApi(faults=faults)
    watching = asyncio.ensure_future(heard(api))
    await asyncio.sleep(1)
    await api.create(CONFIG_MAPS, config_map(*ONE))
    await asyncio.sleep(1)
    await api.merge_patch(CONFIG_MAPS, ONE, {"data": {"a": "1"}})
    kinds = [type(it) for it in await watching]
    assert kinds == [Changed, UnavailableError]


@in_virtual_time
async def test_a_quiet_watch_has_bookmarks_and_ends_in_time() -> None:
    api = FakeApi()
    found = await heard(api, WatchLimits(server_seconds=200, silence_seconds=90))
    assert found == [Bookmark(api.server.version)] * 3
    assert asyncio.get_running_loop().time() == pytest.approx(200)


@in_virtual_time
async def test_a_deaf_watch_is_given_up() -> None:
    api = FakeApi()
    watching = asyncio.ensure_future(heard(api, WatchLimits(300, 90)))
    await asyncio.sleep(70)
    api.deaf = True
    await api.create(CONFIG_MAPS, config_map(*ONE))
    bookmark, error = await watching
    assert isinstance(bookmark, Bookmark)
    assert isinstance(error, UnavailableError)
    assert asyncio.get_running_loop().time() == pytest.approx(60 + 90)


@in_virtual_time
async def test_who_gives_up_a_slow_answer_does_not_know_what_was_done() -> None:
    api = FakeApi()
    api.seconds_after = 5
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await api.create(CONFIG_MAPS, config_map(*ONE))
    assert ONE in api.server.objects(CONFIG_MAPS)


async def test_nobody_is_reached_without_a_connection() -> None:
    api = FakeApi()
    api.unreachable = True
    with pytest.raises(UnavailableError):
        await api.get(CONFIG_MAPS, ONE)
    api.unreachable = False
    with pytest.raises(NotFoundError):
        await api.get(CONFIG_MAPS, ONE)


@pytest.mark.parametrize("propagation", list(Propagation))
async def test_who_is_owned_goes_with_the_last_owner(propagation: Propagation) -> None:
    api = FakeApi()
    owner = await api.create(JOBS, job("here", "owner"))
    child = await api.create(JOBS, owned_by(job("here", "child"), owner))
    await api.create(CONFIG_MAPS, owned_by(config_map("here", "grandchild"), child))
    await api.create(CONFIG_MAPS, config_map("here", "nobodys"))
    await api.delete(JOBS, key_of(owner), propagation=propagation)
    orphaned = propagation is Propagation.ORPHAN
    assert (Key("here", "child") in api.server.objects(JOBS)) is orphaned
    assert (Key("here", "grandchild") in api.server.objects(CONFIG_MAPS)) is orphaned
    assert Key("here", "nobodys") in api.server.objects(CONFIG_MAPS)


async def test_what_came_after_its_owner_went_is_garbage() -> None:
    server = FakeServer()
    owner = server.create(JOBS, job("here", "owner"))
    server.delete(JOBS, key_of(owner), Propagation.BACKGROUND, "")
    server.create(CONFIG_MAPS, owned_by(config_map(*ONE), owner))
    server.collect_garbage()
    assert not server.objects(CONFIG_MAPS)


async def test_what_is_handed_out_is_nobodys_to_change() -> None:
    api = FakeApi()
    made = await api.create(CONFIG_MAPS, config_map(*ONE))
    made["metadata"]["labels"] = {"a": "b"}
    assert "labels" not in (await api.get(CONFIG_MAPS, ONE))["metadata"]
