"""What a runtime must offer: the seam between the brain and a laptop or a cluster.

Every runtime, and the fake, passes the suite in `tests/ports/test_runtime.py`.
"""

from collections.abc import Sequence
from typing import Protocol

from atoll_api.status import TrainingJobStatus
from atoll_operator.plan.events import Event
from atoll_operator.plan.model import Action, Observed


class Runtime(Protocol):
    """One job's world. All methods may be called again after any of them raised."""

    @property
    def starts_at_once(self) -> int:
        """How many steps it can be told to start at the same time."""
        ...

    async def observe(self) -> Observed:
        """The level of the world now. Never starts, stops or repairs anything."""
        ...

    async def apply(self, action: Action) -> None:
        """Carry out one action. Doing it twice is the same as doing it once."""
        ...

    async def read_status(self) -> TrainingJobStatus | None:
        """The status written last, or None."""
        ...

    async def write_status(self, status: TrainingJobStatus) -> bool:
        """Replace the status, whole, in one write. Whether it did: what is no news may wait."""
        ...

    async def tell(self, events: Sequence[Event]) -> None:
        """Tell people what changed; called only after the status write that says so."""
        ...

    async def wait(self, timeout_seconds: float) -> None:
        """Return when something may have changed, or after `timeout_seconds`."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...
