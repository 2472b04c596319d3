"""The mirror shows what is there, whatever happens to its connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kube_objects import config_map
from virtual_time import in_virtual_time, run_in_virtual_time

from atoll_operator.errors import ApiError, ForbiddenError, UnavailableError
from atoll_operator.kubernetes.api import (
    Json,
    Key,
    Propagation,
    Selection,
    WatchEvent,
    WatchLimits,
)
from atoll_operator.kubernetes.backoff import Backoff
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.faults import DropWatches, Fault, KilledError
from atoll_operator.kubernetes.resources import CONFIG_MAPS
from atoll_operator.kubernetes.watching import Interest, Mirror, Patience

PATIENCE = Patience(
    limits=WatchLimits(server_seconds=300, silence_seconds=90),
    backoff=Backoff(first_seconds=1.0, max_seconds=8.0, jitter=0.0),
    page_size=2,
)


@dataclass(frozen=True)
class Value:
    """What is kept of a config map."""

    name: str
    group: str
    text: str


def project(body: Json) -> Value | None:
    labels = body["metadata"].get("labels") or {}
    if "group" not in labels:
        return None
    return Value(body["metadata"]["name"], labels["group"], body.get("data", {}).get("text", ""))


INTEREST = Interest(Selection(CONFIG_MAPS, "here"), project, lambda value: value.group)


@dataclass
class Scene:
    """A mirror that runs, and whom it woke."""

    api: FakeApi
    patience: Patience = PATIENCE
    woken: list[str] = field(default_factory=list)
    troubles: list[type[ApiError]] = field(default_factory=list)

    @property
    def server(self) -> FakeServer:
        return self.api.server

    @asynccontextmanager
    async def mirror(self) -> AsyncIterator[Mirror[Value, str]]:
        mirror = Mirror(
            self.api,
            INTEREST,
            self.woken.append,
            lambda: 0.0,
            self.patience,
            lambda error: self.troubles.append(type(error)),
        )
        run = asyncio.ensure_future(mirror.run())
        await asyncio.sleep(0.1)
        yield mirror
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run

    def set(self, name: str, group: str = "g", text: str = "") -> None:
        labels = {"group": group} if group else {}
        self.server.put(CONFIG_MAPS, config_map("here", name, labels, text=text))

    def remove(self, name: str) -> None:
        self.server.delete(CONFIG_MAPS, Key("here", name), Propagation.BACKGROUND, "")

    def woken_now(self) -> list[str]:
        found = sorted(self.woken)
        self.woken.clear()
        return found

    def verbs(self) -> list[str]:
        return [asked.verb for asked in self.api.requests]


def scene(*names: str) -> Scene:
    made = Scene(FakeApi())
    for name in names:
        made.set(name)
    return made


def shown(mirror: Mirror[Value, str], group: str = "g") -> set[str]:
    found = mirror.of(group)
    assert all(mirror.get(key) == value for key, value in found.items())
    return {key.name for key in found}


@in_virtual_time
async def test_it_lists_in_pages_and_wakes_every_group_then_follows() -> None:
    here = scene("a", "b", "c")
    async with here.mirror() as mirror:
        assert mirror.synced.is_set()
        assert shown(mirror) == {"a", "b", "c"}
        assert set(here.woken_now()) == {"g"}
        assert here.verbs() == ["list", "list", "watch"]
        here.set("d")
        here.remove("a")
        await asyncio.sleep(1)
        assert shown(mirror) == {"b", "c", "d"}
        assert here.woken_now() == ["g", "g"]
        assert len(mirror) == 3


@in_virtual_time
async def test_only_a_change_of_the_value_wakes() -> None:
    here = scene("a")
    async with here.mirror() as mirror:
        here.woken_now()
        here.server.merge_patch(
            CONFIG_MAPS, Key("here", "a"), {"metadata": {"annotations": {"x": "y"}}}, ""
        )
        await asyncio.sleep(1)
        assert here.woken_now() == []
        here.set("a", text="new")
        await asyncio.sleep(1)
        assert here.woken_now() == ["g"]
        assert mirror.get(Key("here", "a")) == Value("a", "g", "new")


@in_virtual_time
async def test_an_object_that_moves_wakes_both_groups() -> None:
    here = scene("a")
    async with here.mirror() as mirror:
        here.woken_now()
        here.set("a", group="other")
        await asyncio.sleep(1)
        assert here.woken_now() == ["g", "other"]
        assert (shown(mirror), shown(mirror, "other")) == (set(), {"a"})


@in_virtual_time
async def test_what_is_not_for_us_is_not_held() -> None:
    here = scene("a")
    here.set("theirs", group="")
    async with here.mirror() as mirror:
        assert len(mirror) == 1
        here.server.merge_patch(
            CONFIG_MAPS, Key("here", "a"), {"metadata": {"labels": {"group": None}}}, ""
        )
        await asyncio.sleep(1)
        assert len(mirror) == 0


@in_virtual_time
async def test_a_broken_watch_goes_on_where_it_was() -> None:
    here = scene("a", "b")
    async with here.mirror() as mirror:
        here.api.break_watches()
        here.remove("a")
        here.set("c")
        await asyncio.sleep(2)
        assert shown(mirror) == {"b", "c"}
        assert here.verbs() == ["list", "watch", "watch"]
        assert here.troubles == [UnavailableError]


@in_virtual_time
async def test_a_watch_that_breaks_now_and_then_is_no_reason_to_list_anew() -> None:
    here = scene("a")
    async with here.mirror():
        for number in range(6):
            here.set("a", text=str(number))
            await asyncio.sleep(1)
            here.api.break_watches()
            await asyncio.sleep(1.5)
        assert here.verbs() == ["list", *["watch"] * 7]


@in_virtual_time
async def test_what_was_deleted_while_the_history_was_lost_is_dropped() -> None:
    here = scene("a", "b", "c")
    async with here.mirror() as mirror:
        here.woken_now()
        here.api.break_watches()
        here.remove("b")
        here.server.compact()
        await asyncio.sleep(0.5)
        assert shown(mirror) == {"a", "b", "c"}
        await asyncio.sleep(10)
        assert shown(mirror) == {"a", "c"}
        assert here.woken_now() == ["g"]
        assert here.troubles == [UnavailableError], "and a history that is lost is no trouble"


@in_virtual_time
async def test_a_silent_connection_is_replaced() -> None:
    here = scene("a")
    async with here.mirror() as mirror:
        here.api.deaf = True
        here.remove("a")
        await asyncio.sleep(60)
        assert mirror.age() == pytest.approx(60, abs=1)
        here.api.deaf = False
        await asyncio.sleep(60)
        assert shown(mirror) == set()


@in_virtual_time
async def test_bookmarks_keep_it_young_and_the_server_may_end_the_watch() -> None:
    here = scene("a")
    async with here.mirror() as mirror:
        await asyncio.sleep(1000)
        assert mirror.age() <= 60
        assert here.verbs() == ["list", *["watch"] * 4]
        assert here.troubles == []


@in_virtual_time
async def test_pages_that_took_too_long_are_listed_at_once() -> None:
    here = scene(*"abcde")
    here.api.seconds_after = 1.0
    async with here.mirror() as mirror:
        here.server.compact()
        await asyncio.sleep(10)
        assert shown(mirror) == set("abcde")
        assert here.verbs() == ["list", "list", "list", "watch"]
        assert here.troubles == []


@in_virtual_time
async def test_a_version_from_before_a_restored_backup_is_given_up() -> None:
    here = scene(*"abcde")
    async with here.mirror() as mirror:
        here.api.server = FakeServer()
        here.set("x")
        here.api.break_watches()
        await asyncio.sleep(30)
        assert shown(mirror) == {"x"}


@in_virtual_time
async def test_it_waits_longer_and_longer_while_nobody_answers() -> None:
    here = scene("a")
    here.api.unreachable = True
    async with here.mirror() as mirror:
        await asyncio.sleep(30)
        assert len(here.api.requests) == 6  # at 0, 1, 3, 7, 15 and 23 seconds
        assert not mirror.synced.is_set()
        assert mirror.age() == float("inf")
        here.api.unreachable = False
        await asyncio.sleep(10)
        assert shown(mirror) == {"a"}


@in_virtual_time
async def test_a_permission_that_is_missing_may_be_given_later() -> None:
    here = Scene(FakeApi(faults=(Fault(0, ForbiddenError("no")),)))
    here.set("a")
    async with here.mirror() as mirror:
        await asyncio.sleep(5)
        assert here.troubles == [ForbiddenError]
        assert shown(mirror) == {"a"}


class _Curt(FakeApi):
    """Whose watches end at once, as behind some proxies."""

    async def watch(
        self, selection: Selection, resource_version: str, limits: WatchLimits
    ) -> AsyncGenerator[WatchEvent, None]:
        del limits
        async for event in super().watch(selection, resource_version, WatchLimits(0)):
            yield event


@in_virtual_time
async def test_a_watch_that_ends_at_once_is_not_asked_again_at_once() -> None:
    here = Scene(_Curt())
    async with here.mirror():
        await asyncio.sleep(30)
    assert len(here.verbs()) < 15
    assert set(here.troubles) == {UnavailableError}


@in_virtual_time
async def test_the_end_of_the_process_is_not_survived() -> None:
    mirror = Mirror(
        FakeApi(faults=(Fault(1, KilledError()),)), INTEREST, lambda _: None, lambda: 0.0, PATIENCE
    )
    with pytest.raises(KilledError):
        await mirror.run()


NAMES = st.sampled_from("abcd")
STEPS = (
    st.tuples(st.just("set"), NAMES, st.sampled_from("gh"))
    | st.tuples(st.just("remove"), NAMES, st.none())
    | st.tuples(st.sampled_from(["break", "compact", "deaf", "lost"]), st.none(), st.none())
    | st.tuples(st.just("pass"), st.sampled_from([0.1, 2.0, 40.0]), st.none())
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=30), st.sets(st.integers(0, 12)))
def test_it_shows_in_the_end_what_is_there(
    story: list[tuple[str, object, object]], broken: set[int]
) -> None:
    drops = tuple(DropWatches(at) for at in broken)
    errors = tuple(Fault(at, UnavailableError("broken")) for at in broken)
    here = Scene(FakeApi(faults=drops + errors))

    async def play() -> None:
        async with here.mirror() as mirror:
            for step in story:
                await _happen(here, step)
            here.api.deaf = here.api.unreachable = False
            await asyncio.sleep(400)
            expected = {
                key: project(body) for key, body in here.server.objects(CONFIG_MAPS).items()
            }
            assert _all(mirror) == expected
            assert set(here.woken) >= {value.group for value in expected.values() if value}

    run_in_virtual_time(play())


async def _happen(here: Scene, step: tuple[str, object, object]) -> None:
    match step:
        case ("set", str(name), str(group)):
            here.set(name, group, text=str(here.server.version))
        case ("remove", str(name), _):
            if Key("here", name) in here.server.objects(CONFIG_MAPS):
                here.remove(name)
        case ("break", _, _):
            here.api.break_watches()
        case ("compact", _, _):
            here.server.compact()
        case ("deaf", _, _):
            here.api.deaf = not here.api.deaf
        case ("lost", _, _):
            here.api.unreachable = not here.api.unreachable
        case ("pass", float(seconds), _):
            await asyncio.sleep(seconds)


def _all(mirror: Mirror[Value, str]) -> Mapping[Key, Value]:
    return {**mirror.of("g"), **mirror.of("h")}
