"""Which checkpoints nobody needs any more."""

from collections.abc import Collection
from dataclasses import dataclass

from atoll_api import names
from atoll_api.names import Ref, StepName
from atoll_api.spec.artifacts import Artifacts

KEPT_CHECKPOINTS = 2
"""Of a step that trains: the last one, and the one before in case the last is being replaced."""


@dataclass(frozen=True)
class RetentionChoice:
    """The checkpoints to drop."""

    refs: tuple[Ref, ...]
    why: str


def retention(
    artifacts: Artifacts, bound: Collection[Ref], done: Collection[StepName], *, complete: bool
) -> RetentionChoice:
    """Decide from what is bound, the steps that are done and whether the job is complete.

    A job that failed or was stopped keeps what it needs to be resumed.
    """
    stale: list[Ref] = []
    for step, numbers in _checkpoints(bound).items():
        needed = artifacts.keep == "All" or not (complete or step in done)
        kept = KEPT_CHECKPOINTS if needed else 0
        stale += [names.checkpoint_ref(step, n) for n in numbers[: len(numbers) - kept]]
    words = "finished steps need none" if artifacts.keep == "Final" else "artifacts.keep is All"
    why = f"the last {KEPT_CHECKPOINTS} checkpoints of a step that trains are kept; {words}"
    return RetentionChoice(tuple(sorted(stale)), why)


def _checkpoints(bound: Collection[Ref]) -> dict[StepName, list[int]]:
    """The numbers of each step's checkpoints, ascending."""
    numbers: dict[StepName, list[int]] = {}
    for ref in bound:
        parsed = names.parse_checkpoint_ref(ref)
        if parsed is not None:
            numbers.setdefault(parsed[0], []).append(parsed[1])
    return {step: sorted(of_step) for step, of_step in sorted(numbers.items())}
