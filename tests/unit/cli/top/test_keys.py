"""Keys come one by one, and the terminal is as it was afterwards."""

import asyncio
import io
import os
import pty
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress

import pytest

from atoll_cli.top.keys import pressed_keys


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end that a person types at; the other one is the standard input."""
    person, program = pty.openpty()
    with os.fdopen(program, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield person
    with suppress(OSError):
        os.close(person)


async def next_of(told: asyncio.Queue[str]) -> str:
    return await asyncio.wait_for(told.get(), 5)


async def test_keys_need_no_enter(terminal: int) -> None:
    before = termios.tcgetattr(sys.stdin)
    told: asyncio.Queue[str] = asyncio.Queue()
    with pressed_keys(told.put_nowait):
        assert termios.tcgetattr(sys.stdin) != before
        os.write(terminal, b"xq")
        assert [await next_of(told), await next_of(told)] == ["x", "q"]
    assert termios.tcgetattr(sys.stdin) == before


async def test_a_terminal_that_goes_away_is_a_wish_to_end(terminal: int) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    with pressed_keys(told.put_nowait):
        os.close(terminal)
        assert await next_of(told) == "q"


async def test_without_a_terminal_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    told: asyncio.Queue[str] = asyncio.Queue()
    with pressed_keys(told.put_nowait):
        await asyncio.sleep(0)
    assert told.empty()
