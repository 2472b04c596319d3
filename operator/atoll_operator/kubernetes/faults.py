"""What goes wrong between one process and the API server: values, for `fake_api.FakeApi`.

A suite that runs a story once, counts its requests, and runs it again for every `n` with
`Fault(n, ...)` has interrupted it everywhere.
"""

from dataclasses import dataclass
from enum import Enum

from atoll_operator.errors import ApiError


class KilledError(BaseException):
    """The process ended here. No handler of errors catches it."""


class When(Enum):
    """On which side of the request the fault is."""

    BEFORE = "Before"
    """The server never hears of it."""
    AFTER = "After"
    """It takes effect, and nobody is told."""


@dataclass(frozen=True)
class Fault:
    """The request number `at`, counted from 0, ends in an error."""

    at: int
    error: ApiError | KilledError
    """After KilledError every later request ends so too: the dead write nothing."""
    when: When = When.BEFORE


@dataclass(frozen=True)
class DropWatches:
    """Every watch that is open when the request number `at` has been answered breaks."""

    at: int


Faults = tuple[Fault | DropWatches, ...]
