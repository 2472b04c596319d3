"""A queue for the cores: a few children work at once, in the order of their priority."""

import asyncio
import heapq


class Places:
    """A semaphore that lets the lowest priority number in first.

    A child that restarts comes back with its old number and so before those behind it.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = 0

    async def take(self, priority: int) -> None:
        """Wait for a place; cancelling gives up the turn."""
        if self._free > 0:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (priority, self._arrivals, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()  # the place came in the same moment
            raise

    def give_back(self) -> None:
        """Free a place that was taken."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
