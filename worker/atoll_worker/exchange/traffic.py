"""Bytes of blobs that this process sent and received, counted where they pass.

What the kernel says of the sockets is `wire`; this says what of it were blobs, with whom, and what
the process was about. No I/O.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["sent", "received"]


@dataclass(frozen=True)
class Label:
    """What is counted apart, as the labels of `atoll_comm_bytes_total`."""

    direction: Direction
    peer: str
    """Kind of process at the other end: "hub", or "client" at a server."""
    phase: str
    """What the process was about when the bytes passed."""


class Traffic:
    """Counters that only grow. Safe to use from several threads."""

    def __init__(self, peer: str, phase: str = "") -> None:
        self.phase = phase
        self._peer = peer
        self._lock = threading.Lock()
        self._bytes: Counter[Label] = Counter()

    def add(self, direction: Direction, count_bytes: int) -> None:
        """Count bytes of blobs in the present phase."""
        label = Label(direction, self._peer, self.phase)
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
