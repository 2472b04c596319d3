"""How many islands, and what happens when some are lost: `spec.islands`."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from atoll_api.base import CelRule, FrozenModel, Items
from atoll_api.spec.data import Data
from atoll_api.spec.template import PodTemplate

MOST_ISLANDS: Final = 2000
"""Of one job: what every object of it has room for, and every pass time (docs/scale.md)."""


class IslandOverride(FrozenModel):
    """What is different for one island."""

    island: int = Field(ge=0, le=MOST_ISLANDS - 1)
    """Its number, from 0."""
    data: Data | None = None
    """Its own data, in place of `spec.data`; only with partition PerIsland."""
    template: PodTemplate | None = None
    """Over all other templates; `spec.template` describes its fields. Not where islands merge:
    there all share one."""


class Islands(FrozenModel):
    """The compute islands; each trains alone."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "!has(self.quorum) || self.quorum <= self.count",
            "quorum may not exceed count",
        ),
    )
    count: int = Field(ge=1, le=MOST_ISLANDS)
    """Islands, and so experts."""
    quorum: int | None = Field(default=None, ge=1, le=MOST_ISLANDS)
    """Islands that must finish for the job to go on; all of them when absent."""
    max_restarts: int = Field(default=3, ge=0, le=100)
    """Restarts of one island before it is given up; a SIGTERM does not count."""
    threads: int = Field(default=1, ge=1, le=256)
    """CPU threads of an island. A part of the result: two threads add in another order."""
    template: PodTemplate | None = None
    """Over `spec.template`, which describes its fields, and `spec.roles`: for pods of islands."""
    overrides: Annotated[
        Items[IslandOverride],
        Field(
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["island"],
            }
        ),
    ] = Field(default=(), max_length=MOST_ISLANDS)
    """What is different for some islands; each stands once."""

    @property
    def required(self) -> int:
        """Islands that must finish, resolved."""
        return self.count if self.quorum is None else self.quorum
