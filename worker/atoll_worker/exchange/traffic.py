"""Bytes of blobs that this process sent and received, counted where they pass.

What the kernel says of the sockets is `wire`; this says what of it were blobs, with whom, and what
the process was about. No I/O.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

Direction = Literal["sent", "received"]
SETUP: Final = "setup"
"""Whatever is not in another phase: what a step reads before its work, and writes after it."""
TRAINING: Final = "training"
"""From the first step to the last; of the bytes, those of checkpoints. One that is on its way at the
end counts as what follows: training waits for no hub."""
EXCHANGE: Final = "exchange"
"""Between two rounds of a strategy that merges."""


@dataclass(frozen=True)
class Label:
    """What is counted apart, as the labels of `atoll_comm_bytes_total`."""

    direction: Direction
    peer: str
    """Role of the process at the other end: "hub", "island", "evaluate"..."""
    phase: str
    """What the process was about when the bytes passed."""


class Traffic:
    """Counters that only grow. Safe to use from several threads."""

    def __init__(self, beside: "Traffic | None" = None) -> None:
        """Count from 0; in the phases of another count, if there is one beside it."""
        self._beside = beside
        self._phase = SETUP
        self._lock = threading.Lock()
        self._bytes: Counter[Label] = Counter()

    @property
    def phase(self) -> str:
        """What the process is about now."""
        return self._phase if self._beside is None else self._beside.phase

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Count apart what passes until the block ends."""
        before, self._phase = self._phase, phase
        try:
            yield
        finally:
            self._phase = before

    def add(self, direction: Direction, peer: str, count_bytes: int) -> None:
        """Count bytes of blobs in the present phase."""
        label = Label(direction, peer, self.phase)
        with self._lock:
            self._bytes[label] += count_bytes

    def total_bytes(self, direction: Direction) -> int:
        """Bytes of all phases."""
        with self._lock:
            return sum(size for label, size in self._bytes.items() if label.direction == direction)

    def counts(self) -> Mapping[Label, int]:
        """Bytes by label; a label without bytes is not there."""
        with self._lock:
            return dict(self._bytes)
