"""When a job ends: `spec.runPolicy`."""

from pydantic import Field

from atoll_api.base import FrozenModel


class RunPolicy(FrozenModel):
    """Limits on the whole job."""

    active_deadline_seconds: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """Seconds from the start of the job to its failure, if it has not ended by then."""
    ttl_seconds_after_finished: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """On a cluster: seconds from the end of the job to its deletion, with all that it owns. When
    left out it stays, and only a hub without a claim or a bucket ends, after a day."""
