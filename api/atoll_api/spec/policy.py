"""When a job ends: `spec.runPolicy`."""

from pydantic import Field

from atoll_api.base import FrozenModel


class RunPolicy(FrozenModel):
    """Limits on the whole job."""

    active_deadline_seconds: int | None = Field(default=None, ge=1)
    """Seconds from the start of the job to its failure, if it has not ended by then."""
