"""A leak to order: what a soak has to find, planted in a process of a benchmark and never in Atoll.

Descriptors and bytes are kept for ever, so many for each piece of work, as the environment says.
"""

import os
from dataclasses import dataclass, field
from typing import Final

VARIABLE: Final = "SOAK_LEAK"
"""`DESCRIPTORS,BYTES` for each piece of work; nothing where it is not set."""


@dataclass
class Leak:
    """What each piece of work leaves behind."""

    descriptors: int = 0
    size_bytes: int = 0
    _kept: list[int | bytes] = field(default_factory=list)

    def drip(self) -> None:
        """A piece of work has ended."""
        self._kept += [os.open(os.devnull, os.O_RDONLY) for _ in range(self.descriptors)]
        if self.size_bytes:
            self._kept.append(os.urandom(self.size_bytes))


def planted() -> Leak:
    """The one that the environment asks for."""
    descriptors, size_bytes = map(int, os.environ.get(VARIABLE, "0,0").split(","))
    return Leak(descriptors, size_bytes)
