"""What is said of one step, and which island is the worst off."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from atoll_api import names
from atoll_api.status import StepState, StepStatus
from atoll_operator.plan.effort import fraction
from atoll_operator.plan.level import Fate, Level, exit_words
from atoll_operator.plan.model import Child, ChildState, Hub, Observed, Step, StepProgress


@dataclass(frozen=True)
class Tally:
    """All islands of a job: a status lists only some of many."""

    states: Mapping[StepState, int]
    """How many there are in each; a state without any may be missing."""
    restarts: int


def tally(seen: Level, observed: Observed) -> Tally:
    """Count the islands."""
    states: Counter[StepState] = Counter()
    restarts = 0
    for step in seen.islands():
        child = observed.children.get(step.name)
        states[_state(seen.fates[step.name], child, observed.progress.get(step.name))] += 1
        restarts += child.restarts if child else 0
    return Tally(dict(states), restarts)


def step_status(step: Step, seen: Level, observed: Observed) -> StepStatus:
    """State, progress and a sentence on one step."""
    child, report = observed.children.get(step.name), observed.progress.get(step.name)
    return StepStatus(
        name=step.name,
        island=step.island,
        state=_state(seen.fates[step.name], child, report),
        restarts=child.restarts if child else 0,
        exit_code=child.exit_code if child and seen.fates[step.name] is Fate.FAILED else None,
        step=report.done if report else 0,
        steps=report.total if report else 0,
        loss=report.loss if report else None,
        samples_per_second=report.samples_per_second if report else None,
        message=_message(step, seen, child, report),
    )


def hub_status(hub: Hub) -> tuple[StepStatus, ...]:
    """The hub as a step, once it is in trouble; nobody needs to look at a hub that serves."""
    child = hub.child
    if child is None or not _in_trouble(hub, child):
        return ()
    failed = child.state is ChildState.FAILED
    state: StepState = "Failed" if failed else "Running" if hub.address else "Pending"
    return (
        StepStatus(
            name=names.HUB,
            state=state,
            restarts=child.restarts,
            exit_code=child.exit_code if failed else None,
            message=child.message,
        ),
    )


def _in_trouble(hub: Hub, child: Child) -> bool:
    waits = hub.address is None and child.state is ChildState.STARTING and bool(child.message)
    return waits or child.restarts > 0 or child.state is ChildState.FAILED


def worst_first(islands: Iterable[StepStatus]) -> tuple[StepStatus, ...]:
    """Failed islands, then those that wait, then those that are furthest behind."""
    return tuple(sorted(islands, key=_badness))


def _badness(island: StepStatus) -> tuple[int, float, int]:
    share = fraction(StepProgress(island.step, island.steps))
    return (_RANKS[island.state], share, island.island or 0)


_RANKS: Mapping[StepState, int] = {
    "Failed": 0,
    "Pending": 1,
    "Waiting": 2,
    "Running": 3,
    "Succeeded": 4,
}


def _state(fate: Fate, child: Child | None, report: StepProgress | None) -> StepState:
    match fate:
        case Fate.DONE:
            return "Succeeded"
        case Fate.FAILED:
            return "Failed"
        case Fate.OPEN:
            return "Waiting"
        case Fate.LIVE:
            heard = child is not None and child.state is ChildState.RUNNING and report is not None
            return "Running" if heard else "Pending"


def _message(step: Step, seen: Level, child: Child | None, report: StepProgress | None) -> str:
    match seen.fates[step.name]:
        case Fate.FAILED:
            return seen.why_failed(step)
        case Fate.OPEN:
            return _waits_for(step, seen)
        case Fate.LIVE if child and child.state is ChildState.RESTARTING:
            last_words = f": {child.message}" if child.message else ""
            return f"starts again after {exit_words(child.exit_code)}{last_words}"
        case Fate.LIVE if child and child.state is ChildState.STARTING:
            return child.message
        case _:
            return report.message if report else ""


def _waits_for(step: Step, seen: Level) -> str:
    missing: list[str] = [need for need in step.needs if not seen.done(need)]
    if step.needs_islands and seen.islands(Fate.OPEN, Fate.LIVE):
        missing.append("the islands")
    return f"waits for {', '.join(missing)}" if missing else ""
