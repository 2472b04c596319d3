"""Things come in order, together when they come fast, alone when they do not; nothing is left."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from atoll_worker.exchange.gather import gathered


def reader(items: list[int | Exception | None]) -> Callable[[], Awaitable[int | None]]:
    left = iter(items)

    async def read() -> int | None:
        item = next(left)
        if isinstance(item, Exception):
            raise item
        return item

    return read


async def collect(read: Callable[[], Awaitable[int | None]], most: int) -> list[list[int]]:
    found = []
    async for batch in gathered(read, most):
        found.append(batch)
        for _ in range(10):  # at work, while more comes
            await asyncio.sleep(0)
    return found


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_all_comes_in_order_and_no_more_at_once_than_asked_for(most: int) -> None:
    found = asyncio.run(collect(reader([*range(20), None]), most))
    assert [it for batch in found for it in batch] == list(range(20))
    assert max(map(len, found)) <= most
    assert len(found) < 20 or most == 1


def test_nothing_is_nothing() -> None:
    assert asyncio.run(collect(reader([None]), 3)) == []


def test_one_alone_is_not_held_back() -> None:
    async def run() -> None:
        queue: asyncio.Queue[int | None] = asyncio.Queue()
        batches = gathered(queue.get, 3)
        for number in range(3):
            queue.put_nowait(number)
            assert await asyncio.wait_for(anext(batches), 30) == [number]
        await batches.aclose()

    asyncio.run(run())


def test_an_error_comes_after_what_came_before_it() -> None:
    found: list[int] = []

    async def run() -> None:
        async for batch in gathered(reader([1, 2, ValueError("broken")]), 2):
            found.extend(batch)

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run())
    assert found == [1, 2]


def test_who_leaves_early_leaves_no_task_behind() -> None:
    async def run() -> set[asyncio.Task[object]]:
        endless = reader(list(range(1000)))
        batches = gathered(endless, 2)
        await anext(batches)
        await batches.aclose()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(run()) == set()
