"""When a job has run for too long."""

from dataclasses import dataclass

from atoll_api.spec.policy import RunPolicy


@dataclass(frozen=True)
class DeadlineChoice:
    """Whether the job's time is up."""

    exceeded: bool
    why: str


def deadline(policy: RunPolicy, start_time: float, now: float) -> DeadlineChoice:
    """Decide from the times of the start and of now, in seconds since the epoch."""
    limit_seconds = policy.active_deadline_seconds
    if limit_seconds is None:
        return DeadlineChoice(exceeded=False, why="runPolicy.activeDeadlineSeconds is not set")
    ran_seconds = max(0.0, now - start_time)
    exceeded = ran_seconds >= limit_seconds
    verb = "has reached" if exceeded else "is below"
    why = f"after {ran_seconds:.0f} s the job {verb} its deadline of {limit_seconds} s"
    return DeadlineChoice(exceeded, why)
