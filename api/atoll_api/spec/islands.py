"""How many islands, and what happens when some are lost: `spec.islands`."""

from typing import ClassVar

from pydantic import Field

from atoll_api.base import CelRule, FrozenModel


class Islands(FrozenModel):
    """The compute islands; each trains alone."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "!has(self.quorum) || self.quorum <= self.count",
            "quorum may not exceed count",
        ),
    )
    count: int = Field(ge=1, le=1000)
    """Islands, and so experts."""
    quorum: int | None = Field(default=None, ge=1, le=1000)
    """Islands that must finish for the job to go on; all of them when absent."""
    max_restarts: int = Field(default=3, ge=0, le=100)
    """Restarts of one island before it is given up; a SIGTERM does not count."""
    threads: int = Field(default=1, ge=1, le=256)
    """CPU threads of an island. A part of the result: two threads add in another order."""

    @property
    def required(self) -> int:
        """Islands that must finish, resolved."""
        return self.count if self.quorum is None else self.quorum
