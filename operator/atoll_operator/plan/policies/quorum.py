"""How many islands may be lost before the job is."""

from dataclasses import dataclass

from atoll_api.spec.islands import Islands


@dataclass(frozen=True)
class QuorumChoice:
    """Whether the quorum can still be met."""

    possible: bool
    why: str


def quorum(islands: Islands, failures: tuple[str, ...]) -> QuorumChoice:
    """Decide from one line for each island that failed for good."""
    left = islands.count - len(failures)
    lines = "; ".join(failures[:SHOWN])
    more = f"; and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
    why = f"{left} of {islands.count} islands are left, {islands.required} are needed"
    return QuorumChoice(left >= islands.required, f"{why}: {lines}{more}" if failures else why)


SHOWN = 5
"""Failures named in one sentence: a thousand of them would fill the status."""
