"""Whether a runtime that supervises by itself starts a child again.

A cluster's Jobs keep the same contract by `backoffLimit` and `podFailurePolicy`.
"""

from dataclasses import dataclass

from atoll_api.exit_codes import NOT_COUNTED, NOT_RETRIED


@dataclass(frozen=True)
class RestartChoice:
    """Whether to start the child again, and whether that costs a restart of its budget."""

    again: bool
    counted: bool
    why: str


def restarts(exit_code: int, counted: int, budget: int) -> RestartChoice:
    """Decide from the exit code (not 0) and the restarts that have counted so far."""
    if exit_code in NOT_COUNTED:
        return RestartChoice(
            again=True, counted=False, why="it was told to stop and has saved its work"
        )
    if exit_code in NOT_RETRIED:
        return RestartChoice(again=False, counted=False, why="the same input would fail again")
    if counted < budget:
        why = f"restart {counted + 1} of {budget}"
        return RestartChoice(again=True, counted=True, why=why)
    return RestartChoice(again=False, counted=False, why=f"its {budget} restarts are used up")
