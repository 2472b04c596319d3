"""Signals that end a command before its work is done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from atoll_cli.errors import ExitCode


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: what is half done is removed."""

    def on_signal(*_: object) -> NoReturn:
        raise SystemExit(ExitCode.TERMINATED)

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
