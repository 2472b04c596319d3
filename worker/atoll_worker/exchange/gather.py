"""Take things as they come: together where they come faster than they are used. No I/O of its own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def gathered(
    read: Callable[[], Awaitable[T | None]], most: int
) -> AsyncGenerator[list[T], None]:
    """What `read` returns, in order, until it returns None.

    Reading goes on while the caller is at work with what it got. One thing alone is never held
    back for another to come.

    Args:
        read: The next thing.
        most: At once; as many again may have been read meanwhile.

    Raises:
        Exception: what `read` raised, after all that came before it.
    """
    queue: asyncio.Queue[T | None] = asyncio.Queue(most)
    filling = asyncio.ensure_future(_fill(queue, read))
    try:
        while True:
            batch = [await queue.get()]
            while len(batch) < most and not queue.empty():
                batch.append(queue.get_nowait())
            found = [item for item in batch if item is not None]
            if found:
                yield found
            if len(found) < len(batch):
                break
        await filling  # raises what `read` raised
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


async def _fill(queue: asyncio.Queue[T | None], read: Callable[[], Awaitable[T | None]]) -> None:
    try:
        while (item := await read()) is not None:
            await queue.put(item)
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)
