"""Keys as they are pressed, of a terminal that is left as it was found."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

Pressed = Callable[[str], None]
_GONE: Final = "q"
"""What is told of a terminal that is gone: nobody looks any more."""


@contextmanager
def pressed_keys(tell: Pressed) -> Iterator[None]:
    """Tell of each key within the block; of none where nobody sits at the input.

    Needs a running event loop.
    """
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    number, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(number)

    def read() -> None:
        for key in _read(number) or _GONE:
            tell(key)

    tty.setcbreak(number, termios.TCSANOW)
    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        with suppress(termios.error):  # of a terminal that is gone
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def _read(number: int) -> str:
    try:
        return os.read(number, 64).decode(errors="replace")
    except OSError:
        return ""
