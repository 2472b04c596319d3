"""The queue in virtual time: no key is lost, and none is worked on twice at once."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import in_virtual_time, run_in_virtual_time

from atoll_operator.errors import TooManyRequestsError
from atoll_operator.kubernetes.backoff import Backoff
from atoll_operator.kubernetes.faults import KilledError
from atoll_operator.kubernetes.work_queue import Pass, WorkQueue

BACKOFF = Backoff(first_seconds=1.0, max_seconds=8.0, jitter=0.0)


@dataclass
class Workshop:
    """Work that takes `seconds` and ends as told."""

    seconds: float = 1.0
    ends: dict[str, list[Exception | float | None]] = field(default_factory=dict)
    began: list[tuple[float, str]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=itertools.count)
    looks: list[tuple[int, str]] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)
    most_busy: int = 0
    passes: list[Pass[str]] = field(default_factory=list)

    async def work(self, key: str) -> float | None:
        self.began.append((now(), key))
        self.looks.append((next(self.order), key))
        self.busy[key] += 1
        assert self.busy[key] == 1, f"{key} is worked on twice at once"
        self.most_busy = max(self.most_busy, self.busy.total())
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.busy[key] -= 1
        end = self.ends[key].pop(0) if self.ends.get(key) else None
        if isinstance(end, Exception):
            raise end
        return end

    def queue(self) -> WorkQueue[str]:
        return WorkQueue(BACKOFF, lambda: 0.0, self.passes.append)

    @asynccontextmanager
    async def running(self, workers: int = 2) -> AsyncIterator[WorkQueue[str]]:
        """Stopped, gracefully, at the end of the block."""
        queue = self.queue()
        run = asyncio.ensure_future(queue.run(self.work, workers))
        yield queue
        queue.stop()
        await run


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_the_longest_pass_is_the_one_that_began_first() -> None:
    shop = Workshop(seconds=3)
    async with shop.running(workers=2) as queue:
        assert queue.longest_seconds == 0
        queue.add("a")
        await asyncio.sleep(2)
        queue.add("b")
        await asyncio.sleep(0.5)
        assert (queue.working, queue.longest_seconds) == (2, 2.5)
        await asyncio.sleep(1)
        assert (queue.working, queue.longest_seconds) == (1, 1.5)
        await asyncio.sleep(2)
        assert (queue.working, queue.longest_seconds) == (0, 0)


@in_virtual_time
async def test_what_is_urgent_comes_first_and_in_its_order() -> None:
    shop = Workshop()
    async with shop.running(workers=1) as queue:
        queue.add("busy")
        await asyncio.sleep(0.1)
        for key in ("old", "older"):
            queue.add(key)
        for key in ("new", "newer"):
            queue.add(key, urgent=True)
        assert queue.depth == 4
        await asyncio.sleep(6)
    assert [key for _, key in shop.began] == ["busy", "new", "newer", "old", "older"]


def _large_ones(key: str) -> float:
    return 1.0 if key == "large" else 0.0


@in_virtual_time
async def test_many_changes_of_a_large_key_are_one_look() -> None:
    shop = Workshop(seconds=0.1)
    queue: WorkQueue[str] = WorkQueue(BACKOFF, lambda: 0.0)
    run = asyncio.ensure_future(queue.run(shop.work, 2, _large_ones))
    for _ in range(43):
        queue.add("large")
        queue.add("small")
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    assert [at for at, key in shop.began if key == "large"] == pytest.approx(
        [0, 1.1, 2.2, 3.3, 4.4]
    )
    assert len([key for _, key in shop.began if key == "small"]) > 20
    queue.stop()
    await run


@in_virtual_time
async def test_what_is_urgent_does_not_rest() -> None:
    shop = Workshop(seconds=0.1)
    queue: WorkQueue[str] = WorkQueue(BACKOFF, lambda: 0.0)
    run = asyncio.ensure_future(queue.run(shop.work, 1, lambda _: 1.0))
    queue.add("a")
    await asyncio.sleep(0.2)
    queue.add("a", urgent=True)
    await asyncio.sleep(0.2)
    assert [at for at, _ in shop.began] == pytest.approx([0, 0.2])
    queue.stop()
    await run


@in_virtual_time
async def test_a_key_that_waits_is_worked_on_once() -> None:
    shop = Workshop()
    async with shop.running(workers=1) as queue:
        for key in "abaab":
            queue.add(key)
        assert queue.depth == 2  # `run` has not begun yet
        await asyncio.sleep(10)
    assert shop.began == [(0, "a"), (1, "b")]


@in_virtual_time
async def test_a_key_that_is_added_while_it_is_worked_on_is_worked_on_again() -> None:
    shop = Workshop()
    async with shop.running() as queue:
        queue.add("a")
        await asyncio.sleep(0.5)
        queue.add("a")
        queue.add("a")
        assert (queue.depth, queue.working) == (0, 1)
        await asyncio.sleep(10)
    assert shop.began == [(0, "a"), (1, "a")]


@in_virtual_time
async def test_keys_are_worked_on_in_turn_by_as_many_as_allowed() -> None:
    shop = Workshop()
    async with shop.running(workers=3) as queue:
        for key in "abcdefg":
            queue.add(key)
        await asyncio.sleep(10)
    assert [key for _, key in shop.began] == list("abcdefg")
    assert [at for at, _ in shop.began] == [0, 0, 0, 1, 1, 1, 2]
    assert shop.most_busy == 3


@in_virtual_time
async def test_a_failure_is_repeated_later_and_later_until_a_success() -> None:
    broken = [ValueError(str(number)) for number in range(5)]
    shop = Workshop(seconds=0.0, ends={"a": [*broken, 100.0, ValueError("again")]})
    async with shop.running() as queue:
        queue.add("a")
        await asyncio.sleep(200)
    assert [at for at, _ in shop.began] == [0, 1, 3, 7, 15, 23, 123, 124]
    assert [it.failures for it in shop.passes] == [1, 2, 3, 4, 5, 0, 1, 0]
    assert [type(it.error) for it in shop.passes][-3:] == [type(None), ValueError, type(None)]


@in_virtual_time
async def test_the_server_says_how_long_a_failure_waits() -> None:
    patience = TooManyRequestsError("later", retry_after_seconds=20)
    shop = Workshop(seconds=0.0, ends={"a": [patience]})
    async with shop.running() as queue:
        queue.add("a")
        await asyncio.sleep(100)
    assert [at for at, _ in shop.began] == [0, 20]


@in_virtual_time
async def test_who_adds_a_failed_key_need_not_wait() -> None:
    shop = Workshop(seconds=0.0, ends={"a": [ValueError()] * 4})
    async with shop.running() as queue:
        queue.add("a")
        await asyncio.sleep(8)
        queue.add("a")
        await asyncio.sleep(0.5)
    assert [at for at, _ in shop.began] == [0, 1, 3, 7, 8]


@in_virtual_time
async def test_of_several_delays_the_earliest_counts() -> None:
    shop = Workshop(seconds=0.0)
    async with shop.running() as queue:
        for seconds in (30, 10, 20):
            queue.add_after("a", seconds)
        queue.add_after("b", 0)
        await asyncio.sleep(100)
    assert shop.began == [(0, "b"), (10, "a")]


@in_virtual_time
async def test_what_is_forgotten_is_not_looked_at_again() -> None:
    shop = Workshop(seconds=0.0, ends={"a": [ValueError(), ValueError()]})
    async with shop.running() as queue:
        queue.add("a")
        await asyncio.sleep(0.5)
        queue.forget("a")
        await asyncio.sleep(100)
        queue.add("a")
        await asyncio.sleep(0.5)
    assert [at for at, _ in shop.began] == [0, 100.5]
    assert [it.failures for it in shop.passes] == [1, 1]


@in_virtual_time
async def test_a_paused_queue_collects() -> None:
    shop = Workshop()
    async with shop.running() as queue:
        queue.add("a")
        await asyncio.sleep(0.5)
        queue.pause()
        queue.add("a")
        queue.add("b")
        queue.add_after("c", 1)
        await asyncio.sleep(10)
        assert shop.began == [(0, "a")]
        queue.resume()
        await asyncio.sleep(10)
    assert sorted(shop.began[1:]) == [(10.5, "a"), (10.5, "b"), (11.5, "c")]


@in_virtual_time
async def test_stopping_waits_for_what_has_begun_and_begins_nothing() -> None:
    shop = Workshop(seconds=5.0)
    queue = shop.queue()
    run = asyncio.ensure_future(queue.run(shop.work, workers=1))
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(1)
    queue.stop()
    await run
    assert now() == pytest.approx(5)
    assert shop.began == [(0, "a")]
    assert queue.depth == 1


@in_virtual_time
async def test_a_cancelled_queue_leaves_nothing_running_and_loses_nothing() -> None:
    shop = Workshop(seconds=5.0)
    queue = shop.queue()
    run = asyncio.ensure_future(queue.run(shop.work, workers=1))
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(1)
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert (queue.depth, queue.working, shop.busy.total()) == (2, 0, 0)


@in_virtual_time
async def test_the_end_of_the_process_is_no_failure_of_a_key() -> None:
    async def die(_key: str) -> None:
        raise KilledError

    queue = Workshop().queue()
    queue.add("a")
    queue.add("b")
    with pytest.raises(BaseExceptionGroup) as caught:
        await queue.run(die, workers=1)
    assert caught.group_contains(KilledError)


@in_virtual_time
async def test_it_says_how_long_keys_waited_and_took() -> None:
    shop = Workshop(seconds=2.0)
    async with shop.running(workers=1) as queue:
        queue.add("a")
        queue.add("b")
        await asyncio.sleep(10)
    assert [(it.waited_seconds, it.worked_seconds) for it in shop.passes] == [(0, 2), (2, 2)]


ADDITIONS = st.tuples(st.just("add"), st.sampled_from("abc"))
DELAYS = st.tuples(st.just("later"), st.tuples(st.sampled_from("abc"), st.integers(0, 5)))
PAUSES = st.tuples(st.sampled_from(["pause", "resume"]), st.none())
TIMES = st.tuples(st.just("pass"), st.sampled_from([0.0, 0.25, 1.0, 3.0]))
ENDS = st.sampled_from([None, None, 2.0, ValueError()])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(ADDITIONS | DELAYS | PAUSES | TIMES, max_size=40),
    st.fixed_dictionaries({key: st.lists(ENDS, max_size=6) for key in "abc"}),
    st.integers(1, 3),
)
def test_no_key_is_lost_and_none_is_worked_on_twice(
    story: list[tuple[str, object]], ends: dict[str, list[Exception | float | None]], workers: int
) -> None:
    shop = Workshop(ends={key: list(listed) for key, listed in ends.items()})
    asked: list[tuple[int, str]] = []

    async def play() -> None:
        async with shop.running(workers) as queue:
            for step in story:
                match step:
                    case ("add", str(key)):
                        queue.add(key)
                        asked.append((next(shop.order), key))
                    case ("later", (str(key), int(seconds))):
                        queue.add_after(key, seconds)
                        asked.append((next(shop.order), key))
                    case ("pause", _):
                        queue.pause()
                    case ("resume", _):
                        queue.resume()
                    case ("pass", float(seconds)):
                        await asyncio.sleep(seconds)
            queue.resume()
            await asyncio.sleep(1000)
            assert (queue.depth, queue.working) == (0, 0)

    run_in_virtual_time(play())
    assert shop.most_busy <= workers
    for moment, key in asked:
        assert any(order > moment for order, it in shop.looks if it == key)
