"""One suite for the API server: in memory, and a real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from builders import job_document
from kube_objects import config_map, core_event, job
from kube_worlds import World, world

from atoll_operator.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    GoneError,
    InvalidError,
    NotFoundError,
)
from atoll_operator.kubernetes.api import (
    Changed,
    Json,
    Key,
    Removed,
    Selection,
    WatchEvent,
    WatchLimits,
    key_of,
    version_of,
)
from atoll_operator.kubernetes.resources import (
    CONFIG_MAPS,
    CORE_EVENTS,
    JOBS,
    PODS,
    TRAINING_JOBS,
)

LIMITS = WatchLimits(server_seconds=20, silence_seconds=20)


@pytest.fixture(params=["fake", "real"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world(request.param) as found:
        yield found


def training_job(namespace: str) -> Json:
    document = job_document()
    return {**document, "metadata": {**document["metadata"], "namespace": namespace}}


async def test_what_is_created_has_an_identity_and_can_be_read(place: World) -> None:
    made = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one", key="value"))
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    assert await place.api.get(CONFIG_MAPS, Key(place.namespace, "one")) == made


async def test_a_name_is_taken_once(place: World) -> None:
    await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    with pytest.raises(AlreadyExistsError, match='"one" already exists') as caught:
        await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one", key="other"))
    assert not caught.value.retryable


async def test_a_name_may_be_left_to_the_server(place: World) -> None:
    body = config_map(place.namespace, "")
    body["metadata"] = {"namespace": place.namespace, "generateName": "made-"}
    names = {(await place.api.create(CONFIG_MAPS, body))["metadata"]["name"] for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("made-") for name in names)


@pytest.mark.parametrize("verb", ["get", "merge_patch", "replace", "delete"])
async def test_what_is_not_there_is_not_found(place: World, verb: str) -> None:
    key = Key(place.namespace, "none")
    api: Any = place.api
    arguments: dict[str, tuple[Any, ...]] = {
        "get": (key,),
        "merge_patch": (key, {"data": {"key": "value"}}),
        "replace": (job(*key),),
        "delete": (key,),
    }
    with pytest.raises(NotFoundError, match='"none" not found'):
        await getattr(api, verb)(JOBS, *arguments[verb])


async def test_what_the_server_does_not_accept_is_invalid(place: World) -> None:
    with pytest.raises(InvalidError, match=r"is invalid: metadata\.name") as caught:
        await place.api.create(CONFIG_MAPS, config_map(place.namespace, "Capitals"))
    assert not caught.value.retryable


async def test_a_version_cannot_be_chosen(place: World) -> None:
    body = config_map(place.namespace, "one")
    body["metadata"]["resourceVersion"] = "7"
    with pytest.raises(ApiError, match="resourceVersion"):
        await place.api.create(CONFIG_MAPS, body)


async def test_a_patch_changes_and_removes_fields(place: World) -> None:
    made = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one", a="1", b="2"))
    patched = await place.api.merge_patch(
        CONFIG_MAPS, key_of(made), {"data": {"a": None, "c": "3"}}
    )
    assert patched["data"] == {"b": "2", "c": "3"}
    assert version_of(patched) != version_of(made)
    assert patched["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_write_that_changes_nothing_makes_no_version(place: World) -> None:
    made = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one", a="1"))
    patched = await place.api.merge_patch(CONFIG_MAPS, key_of(made), {"data": {"a": "1"}})
    replaced = await place.api.replace(CONFIG_MAPS, made)
    assert version_of(made) == version_of(patched) == version_of(replaced)


@pytest.mark.parametrize("verb", ["patch", "replace"])
async def test_a_version_that_has_passed_is_a_conflict(place: World, verb: str) -> None:
    old = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one", a="1"))
    new = await place.api.merge_patch(CONFIG_MAPS, key_of(old), {"data": {"a": "2"}})
    with pytest.raises(ConflictError, match="has been modified") as caught:
        await _write(place, verb, old)
    assert caught.value.retryable
    assert (await _write(place, verb, new))["data"] == {"a": "3"}


async def _write(place: World, verb: str, seen: Json) -> Json:
    if verb == "replace":
        return await place.api.replace(CONFIG_MAPS, {**seen, "data": {"a": "3"}})
    patch = {"metadata": {"resourceVersion": version_of(seen)}, "data": {"a": "3"}}
    return await place.api.merge_patch(CONFIG_MAPS, key_of(seen), patch)


async def test_another_object_of_the_same_name_is_a_conflict(place: World) -> None:
    old = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    await place.api.delete(CONFIG_MAPS, key_of(old))
    new = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    uid = old["metadata"]["uid"]
    with pytest.raises(InvalidError, match="immutable"):
        await place.api.merge_patch(CONFIG_MAPS, key_of(old), {"metadata": {"uid": uid}})
    with pytest.raises(ConflictError):
        await place.api.delete(CONFIG_MAPS, key_of(old), uid=uid)
    await place.api.delete(CONFIG_MAPS, key_of(new), uid=new["metadata"]["uid"])


async def test_generations_count_what_was_asked_for(place: World) -> None:
    made = await place.api.create(TRAINING_JOBS, training_job(place.namespace))
    key = key_of(made)
    labelled = await place.api.merge_patch(TRAINING_JOBS, key, {"metadata": {"labels": {"a": "b"}}})
    told = await place.api.merge_patch(
        TRAINING_JOBS, key, {"status": {"hub": "told"}}, subresource="status"
    )
    deadline = {"spec": {"runPolicy": {"activeDeadlineSeconds": 60}}}
    asked = await place.api.merge_patch(TRAINING_JOBS, key, deadline)
    found = [it["metadata"]["generation"] for it in (made, labelled, told, asked)]
    assert found == [1, 1, 1, 2]


async def test_a_status_is_written_apart(place: World) -> None:
    body = {**training_job(place.namespace), "status": {"hub": "with the rest"}}
    made = await place.api.create(TRAINING_JOBS, body)
    key = key_of(made)
    assert "status" not in made
    ignored = await place.api.merge_patch(TRAINING_JOBS, key, {"status": {"hub": "ignored"}})
    assert "status" not in ignored
    assert version_of(ignored) == version_of(made)
    patch = {"metadata": {"labels": {"a": "b"}}, "status": {"hub": "told"}}
    told = await place.api.merge_patch(TRAINING_JOBS, key, patch, subresource="status")
    assert told["status"]["hub"] == "told"
    assert "labels" not in told["metadata"]


async def test_a_status_is_replaced_whole_and_not_over_a_newer_one(place: World) -> None:
    made = await place.api.create(TRAINING_JOBS, training_job(place.namespace))
    first = await place.api.replace(
        TRAINING_JOBS, {**made, "status": {"hub": "first"}}, subresource="status"
    )
    second = await place.api.replace(
        TRAINING_JOBS, {**first, "status": {"islandsReady": "1/2"}}, subresource="status"
    )
    assert second["status"] == {"islandsReady": "1/2"}
    patch = {"metadata": {"resourceVersion": version_of(first)}, "status": {"hub": "late"}}
    with pytest.raises(ConflictError):
        await place.api.replace(TRAINING_JOBS, first, subresource="status")
    with pytest.raises(ConflictError):
        await place.api.merge_patch(TRAINING_JOBS, key_of(made), patch, subresource="status")


async def test_applying_owns_fields_and_leaves_those_of_others(place: World) -> None:
    name = "applied"
    first = await place.api.apply(CONFIG_MAPS, config_map(place.namespace, name, a="1", b="2"))
    await place.api.merge_patch(CONFIG_MAPS, key_of(first), {"data": {"theirs": "3"}})
    second = await place.api.apply(CONFIG_MAPS, config_map(place.namespace, name, a="4"))
    assert second["data"] == {"a": "4", "theirs": "3"}
    again = await place.api.apply(CONFIG_MAPS, config_map(place.namespace, name, a="4"))
    assert version_of(again) == version_of(second)


async def test_what_is_deleted_is_gone(place: World) -> None:
    made = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    await place.api.delete(CONFIG_MAPS, key_of(made))
    with pytest.raises(NotFoundError):
        await place.api.get(CONFIG_MAPS, key_of(made))


async def test_a_finalizer_holds_what_is_deleted(place: World) -> None:
    body = config_map(place.namespace, "held")
    body["metadata"]["finalizers"] = ["atoll.dev/test"]
    key = key_of(await place.api.create(CONFIG_MAPS, body))
    await place.api.delete(CONFIG_MAPS, key)
    assert "deletionTimestamp" in (await place.api.get(CONFIG_MAPS, key))["metadata"]
    await place.api.merge_patch(CONFIG_MAPS, key, {"metadata": {"finalizers": None}})
    with pytest.raises(NotFoundError):
        await place.api.get(CONFIG_MAPS, key)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", "abc"),
        ("side=left", "a"),
        ("side!=left", "bc"),
        ("side in (left, right)", "ab"),
        ("side notin (left),job", "b"),
        ("!side", "c"),
    ],
)
async def test_labels_select(place: World, selector: str, expected: str) -> None:
    labels = {"a": {"side": "left", "job": "1"}, "b": {"side": "right", "job": "1"}, "c": {}}
    for name, given in labels.items():
        await place.api.create(JOBS, job(place.namespace, name, given))
    page = await place.api.list_page(Selection(JOBS, place.namespace, selector))
    assert [key_of(it).name for it in page.items] == list(expected)
    assert not page.continue_token


async def test_fields_select(place: World) -> None:
    selector = "type=Warning,involvedObject.kind!=Node,reason!=BackOff"
    selection = Selection(CORE_EVENTS, place.namespace, fields=selector)
    version = (await place.api.list_page(selection)).resource_version
    told = {
        "wanted": ("Warning", "Pod", "FailedMount"),
        "normal": ("Normal", "Pod", "Pulled"),
        "node": ("Warning", "Node", "FailedMount"),
        "noise": ("Warning", "Pod", "BackOff"),
    }
    for name, (kind, of, reason) in told.items():
        body = core_event(Key(place.namespace, name), of, kind=kind, reason=reason)
        await place.api.create(CORE_EVENTS, body)
    page = await place.api.list_page(selection)
    assert [key_of(it).name for it in page.items] == ["wanted"]
    assert await _told(place, selection, version, 1) == ["+wanted"]


async def test_a_list_comes_in_pages_of_one_version(place: World) -> None:
    selection = Selection(CONFIG_MAPS, place.namespace)
    for number in range(5):
        await place.api.create(CONFIG_MAPS, config_map(place.namespace, f"m{number}"))
    first = await place.api.list_page(selection, limit=2)
    await place.api.create(CONFIG_MAPS, config_map(place.namespace, "m9"))
    second = await place.api.list_page(selection, limit=2, continue_token=first.continue_token)
    third = await place.api.list_page(selection, limit=2, continue_token=second.continue_token)
    pages = (first, second, third)
    found = [key_of(it).name for page in pages for it in page.items]
    assert found == ["m0", "m1", "m2", "m3", "m4"]
    assert len({page.resource_version for page in pages}) == 1
    assert not third.continue_token


async def test_a_watch_goes_on_where_the_list_ended(place: World) -> None:
    api, selection = place.api, Selection(CONFIG_MAPS, place.namespace, "seen=yes")
    seen = {"seen": "yes"}
    await api.create(CONFIG_MAPS, config_map(place.namespace, "before", seen))
    version = (await api.list_page(selection)).resource_version
    key = key_of(await api.create(CONFIG_MAPS, config_map(place.namespace, "after", seen)))
    await api.create(CONFIG_MAPS, config_map(place.namespace, "unseen"))
    await api.merge_patch(CONFIG_MAPS, key, {"data": {"a": "1"}})
    await api.delete(CONFIG_MAPS, key)
    assert await _told(place, selection, version, 3) == ["+after", "+after", "-after"]


async def test_what_leaves_the_selection_is_removed_for_its_watch(place: World) -> None:
    api, selection = place.api, Selection(CONFIG_MAPS, place.namespace, "seen=yes")
    version = (await api.list_page(selection)).resource_version
    key = key_of(await api.create(CONFIG_MAPS, config_map(place.namespace, "one")))
    for value in ("yes", "no", "yes"):
        await api.merge_patch(CONFIG_MAPS, key, {"metadata": {"labels": {"seen": value}}})
    assert await _told(place, selection, version, 3) == ["+one", "-one", "+one"]


async def test_a_watch_hears_what_happens_while_it_is_open(place: World) -> None:
    selection = Selection(CONFIG_MAPS, place.namespace)
    version = (await place.api.list_page(selection)).resource_version
    told = asyncio.ensure_future(_told(place, selection, version, 2))
    made = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    await place.api.delete(CONFIG_MAPS, key_of(made))
    assert await told == ["+one", "-one"]


async def _told(place: World, selection: Selection, version: str, count: int) -> list[str]:
    found: list[str] = []
    async with aclosing(place.api.watch(selection, version, LIMITS)) as events:
        async for event in events:
            found += [_word(event)] if isinstance(event, Changed | Removed) else []
            if len(found) == count:
                return found
    raise AssertionError(f"only {found}")


def _word(event: WatchEvent) -> str:
    assert isinstance(event, Changed | Removed)
    return ("+" if isinstance(event, Changed) else "-") + key_of(event.object).name


async def test_a_removed_object_carries_the_version_of_its_end(place: World) -> None:
    selection = Selection(CONFIG_MAPS, place.namespace)
    version = (await place.api.list_page(selection)).resource_version
    made = await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    await place.api.delete(CONFIG_MAPS, key_of(made))
    async with aclosing(place.api.watch(selection, version, LIMITS)) as events:
        _, removed = [await anext(events) for _ in range(2)]
    assert isinstance(removed, Removed)
    assert int(version_of(removed.object)) > int(version_of(made))


async def test_the_server_ends_a_watch_in_time(place: World) -> None:
    selection = Selection(CONFIG_MAPS, place.namespace)
    version = (await place.api.list_page(selection)).resource_version
    limits = WatchLimits(server_seconds=1, silence_seconds=10)
    events = [event async for event in place.api.watch(selection, version, limits)]
    assert not [event for event in events if isinstance(event, Changed | Removed)]


async def test_a_version_that_is_forgotten_is_gone(place: World) -> None:
    selection = Selection(TRAINING_JOBS, place.namespace)
    with pytest.raises(GoneError) as caught:
        async with aclosing(place.api.watch(selection, place.ancient, LIMITS)) as events:
            await anext(events)
    assert caught.value.retryable


async def test_many_may_ask_at_once(place: World) -> None:
    bodies = [config_map(place.namespace, f"m{number}") for number in range(100)]
    await asyncio.gather(*(place.api.create(CONFIG_MAPS, body) for body in bodies))
    page = await place.api.list_page(Selection(CONFIG_MAPS, place.namespace))
    assert len(page.items) == 100


async def test_kinds_are_apart(place: World) -> None:
    await place.api.create(CONFIG_MAPS, config_map(place.namespace, "one"))
    await place.api.create(JOBS, job(place.namespace, "one"))
    assert not (await place.api.list_page(Selection(PODS, place.namespace))).items
