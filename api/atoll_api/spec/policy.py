"""When a job ends and what it keeps: `spec.runPolicy` and `spec.artifacts`."""

from typing import Literal

from pydantic import Field

from atoll_api.base import FrozenModel


class RunPolicy(FrozenModel):
    """Limits on the whole job."""

    active_deadline_seconds: int | None = Field(default=None, ge=1)
    """Seconds from the start of the job to its failure, if it has not ended by then."""


class Artifacts(FrozenModel):
    """What stays in the hub."""

    keep: Literal["Final", "All"] = "Final"
    """Final: an island's checkpoints go once its expert is there. All: they stay, the last
    two of each island while it trains included."""
