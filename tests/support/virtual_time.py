"""An event loop whose time passes only when nobody has anything to do: tests wait, but not us."""

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


def in_virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Runs an asynchronous test in a loop of its own that begins at 0."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def whole() -> None:
            await test(*args, **kwargs)

        run_in_virtual_time(whole())

    return run


def run_in_virtual_time(story: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`; what the loop would only log is an error."""
    unheard: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unheard.append(context))
        runner.run(story)
    assert not unheard, unheard


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where others wait for a timer, this one sets the clock."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        super().__init__(_Jumping(self._advance))

    def time(self) -> float:
        return self._virtual_now

    def _advance(self, seconds: float) -> None:
        self._virtual_now += seconds


class _Jumping(selectors.DefaultSelector):
    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        assert timeout is not None, "everybody waits, and for no timer"
        self._jump(timeout)
        return []
