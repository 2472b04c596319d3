"""What a process does beside its training, one piece at a time. Does not know what that is."""

import threading
from collections.abc import Callable
from typing import Protocol

Errand = Callable[[], None]
"""Must not raise: nobody would hear of it."""


class Errands(Protocol):
    """Does one errand at a time; one that comes meanwhile replaces the one that waits."""

    def give(self, errand: Errand) -> None:
        """Have it done as soon as the one before it is; returns at once."""
        ...

    def finish(self) -> None:
        """Wait until everything given has been done."""
        ...

    def close(self) -> None:
        """Begin none that still waits; one that is being done ends by itself."""
        ...


class ThreadOfErrands:
    """Implements `Errands` on a thread of its own."""

    def __init__(self, name: str) -> None:
        """Start the thread, which keeps no process alive."""
        self._wake = threading.Condition()
        self._waiting: Errand | None = None
        self._busy = False
        self._closed = False
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def give(self, errand: Errand) -> None:
        """See `Errands.give`."""
        with self._wake:
            self._waiting = errand
            self._wake.notify_all()

    def finish(self) -> None:
        """See `Errands.finish`."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting is None and not self._busy)

    def close(self) -> None:
        """See `Errands.close`."""
        with self._wake:
            self._waiting = None
            self._closed = True
            self._wake.notify_all()

    def _work(self) -> None:
        while (errand := self._next()) is not None:
            try:
                errand()
            finally:
                with self._wake:
                    self._busy = False
                    self._wake.notify_all()

    def _next(self) -> Errand | None:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting is not None or self._closed)
            errand, self._waiting = self._waiting, None
            self._busy = errand is not None
            return errand
