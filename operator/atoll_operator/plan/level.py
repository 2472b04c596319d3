"""Reads an observation: what has become of each step. Says nothing about what to do."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from atoll_api.names import StepName
from atoll_operator.plan.model import LIVE_STATES, Child, ChildState, Observed, Step


class Fate(Enum):
    """What has become of a step."""

    OPEN = "open"
    """It has no child that lives, or that ended by itself."""
    LIVE = "live"
    DONE = "done"
    """Its refs are bound, whatever became of its child."""
    FAILED = "failed"
    """Its child has ended for good and not all of its refs are bound."""


@dataclass(frozen=True)
class Level:
    """The steps of a job and their fates."""

    steps: tuple[Step, ...]
    fates: Mapping[StepName, Fate]
    children: Mapping[StepName, Child]

    def islands(self, *fates: Fate) -> tuple[Step, ...]:
        """The islands with one of these fates; all islands when none is named."""
        return tuple(s for s in self.steps if s.island is not None and self._among(s, fates))

    def others(self, *fates: Fate) -> tuple[Step, ...]:
        """The steps that are not islands, with one of these fates."""
        return tuple(s for s in self.steps if s.island is None and self._among(s, fates))

    def done(self, name: StepName) -> bool:
        """Whether a step has its refs bound."""
        return self.fates[name] is Fate.DONE

    def ready(self, step: Step) -> bool:
        """Whether all that a step needs is there."""
        if not all(self.done(need) for need in step.needs):
            return False
        if step.needs_islands == 0:
            return True
        done = len(self.islands(Fate.DONE))
        return done >= step.needs_islands and not self.islands(Fate.OPEN, Fate.LIVE)

    def why_failed(self, step: Step) -> str:
        """One line: the step, its exit code, its restarts and its last log line."""
        child = self.children[step.name]
        if child.state is ChildState.SUCCEEDED:
            return f"{step.name} ended well but nothing is bound to {step.writes}"
        restarts = f" after {child.restarts} restarts" if child.restarts else ""
        last_words = f": {child.message}" if child.message else ""
        return f"{step.name} failed with {exit_words(child.exit_code)}{restarts}{last_words}"

    def _among(self, step: Step, fates: tuple[Fate, ...]) -> bool:
        return not fates or self.fates[step.name] in fates


def level(steps: tuple[Step, ...], observed: Observed) -> Level:
    """Read an observation once, for the plan and the status alike."""
    fates = {step.name: _fate(step, observed) for step in steps}
    return Level(steps, fates, observed.children)


def exit_words(exit_code: int | None) -> str:
    """`exit code 137 (SIGKILL)`: codes above 128 name their signal."""
    if exit_code is None:
        return "no exit code"
    try:
        return f"exit code {exit_code} ({signal.Signals(exit_code - 128).name})"
    except ValueError:
        return f"exit code {exit_code}"


def _fate(step: Step, observed: Observed) -> Fate:
    if all(ref in observed.bindings for ref in step.refs):
        return Fate.DONE
    child = observed.children.get(step.name)
    if child is None or child.state is ChildState.STOPPED:
        return Fate.OPEN
    return Fate.LIVE if child.state in LIVE_STATES else Fate.FAILED
