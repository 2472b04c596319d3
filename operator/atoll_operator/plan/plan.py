"""What to do now: (spec, observed, now) -> Plan.

The plan reads the level of the world, never its events, and remembers nothing: an
observation that comes late or twice costs one pass and nothing else.

Decisions it makes:
- A step is done when its refs are bound, whatever became of its child.
- What was made of weights that are gone goes with them: islands measure the next mean anew.
- An island that failed is gone without for as long as the quorum can be met.
- Every other step must succeed. The baseline too: whoever asked for the comparison is told
  that there is none, and a resumed job goes on from what is there.
- An end is not taken back. At the end the children stop first and the hub last.
"""

from atoll_api import names
from atoll_api.reasons import FAILED_STEPS
from atoll_api.spec import TrainingJobSpec
from atoll_operator.plan.effort import effort
from atoll_operator.plan.level import Fate, Level, exit_words, level
from atoll_operator.plan.model import (
    LIVE_STATES,
    Action,
    ChildState,
    Complete,
    DropRefs,
    ExcuseRefs,
    Failed,
    Observed,
    Ongoing,
    Outcome,
    Plan,
    StartHub,
    StartStep,
    StopHub,
    Stopped,
    StopStep,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.policies.deadline import deadline
from atoll_operator.plan.policies.quorum import quorum
from atoll_operator.plan.policies.retention import retention


def plan(spec: TrainingJobSpec, observed: Observed, now: float) -> Plan:
    """Decide what to do and whether the job has ended; `now` in seconds since the epoch."""
    seen = level(pipeline(spec), observed)
    outcome = observed.ended or _outcome(spec, seen, observed, now)
    if isinstance(outcome, Ongoing):
        return Plan(_advance(spec, seen, observed), outcome)
    return Plan(_wind_down(spec, seen, observed, outcome), outcome)


def _outcome(spec: TrainingJobSpec, seen: Level, observed: Observed, now: float) -> Outcome:
    if not seen.others(Fate.OPEN, Fate.LIVE, Fate.FAILED):
        what = "experts" if spec.strategy.type == "ExpertEnsemble" else "islands' weights"
        found = f"{len(seen.islands(Fate.DONE))} of {spec.islands.count} {what}"
        return Complete(f"{found} and the report are there")
    failure = _failure(spec, seen, observed, now)
    if failure is not None:
        return failure
    return Stopped() if observed.stop_requested else Ongoing()


def _failure(spec: TrainingJobSpec, seen: Level, observed: Observed, now: float) -> Failed | None:
    hub = observed.hub.child
    if hub is not None and hub.state is ChildState.FAILED:
        words = f"the hub failed with {exit_words(hub.exit_code)}"
        return Failed("HubLost", f"{words}: {hub.message}" if hub.message else words)
    broken = seen.others(Fate.FAILED)
    if broken:
        return Failed(FAILED_STEPS[broken[0].name], seen.why_failed(broken[0]))
    lost = tuple(seen.why_failed(island) for island in seen.islands(Fate.FAILED))
    choice = quorum(spec.islands, lost)
    if not choice.possible:
        return Failed("QuorumLost", choice.why)
    time_limit = deadline(spec.run_policy, observed.start_time, now)
    return Failed("DeadlineExceeded", time_limit.why) if time_limit.exceeded else None


def _advance(spec: TrainingJobSpec, seen: Level, observed: Observed) -> tuple[Action, ...]:
    hub = observed.hub.child
    if hub is None or hub.state is ChildState.STOPPED:
        return (StartHub(), *(_starts(spec, seen) if observed.hub.known_beforehand else ()))
    if observed.hub.address is None:
        return ()
    return (
        *_revivals(spec, seen, observed),  # before anybody who starts now hears of it
        *_outdated(spec, seen, observed),
        *_strangers(seen),
        *_starts(spec, seen),
        *_excuses(spec, seen, observed),
        *_drops(spec, seen, observed),
    )


def _starts(spec: TrainingJobSpec, seen: Level) -> tuple[Action, ...]:
    """Longest first: a runtime that runs a few at a time then ends soonest (Graham 1969)."""
    ready = [s for s in seen.steps if seen.fates[s.name] is Fate.OPEN and seen.ready(s)]
    return tuple(StartStep(s) for s in sorted(ready, key=lambda s: -effort(spec, s)))


def _strangers(seen: Level) -> tuple[Action, ...]:
    return tuple(
        StopStep(name, "it is no step of this job")
        for name, child in sorted(seen.children.items())
        if name not in seen.fates and child.state in LIVE_STATES
    )


def _excuses(spec: TrainingJobSpec, seen: Level, observed: Observed) -> tuple[Action, ...]:
    """Islands that exchange weights wait for each other: not for one that is given up."""
    if spec.strategy.type == "ExpertEnsemble":
        return ()
    failed = (island.island for island in seen.islands(Fate.FAILED))
    lost = (names.lost_ref(island) for island in failed if island is not None)
    refs = tuple(ref for ref in lost if ref not in observed.bindings)
    return (ExcuseRefs(refs, "an island that is given up merges no more"),) if refs else ()


def _revivals(spec: TrainingJobSpec, seen: Level, observed: Observed) -> tuple[Action, ...]:
    """Whoever resumes a job starts all islands again: those that were given up are back."""
    if spec.strategy.type == "ExpertEnsemble":
        return ()
    again = (step.island for step in seen.islands(Fate.OPEN))
    lost = (names.lost_ref(island) for island in again if island is not None)
    refs = tuple(ref for ref in lost if ref in observed.bindings)
    return (DropRefs(refs, "an island that was given up is started again"),) if refs else ()


def _outdated(spec: TrainingJobSpec, seen: Level, observed: Observed) -> tuple[Action, ...]:
    """A mean that counts weights which are trained again, and what islands measured on it."""
    merging = spec.strategy.type != "ExpertEnsemble"
    if not merging or names.MEAN_REF not in observed.bindings or seen.done(names.MERGE):
        return ()
    again = (step.island for step in seen.islands(Fate.OPEN, Fate.LIVE) if step.island is not None)
    if all(names.final_ref(island) in observed.bindings for island in again):
        return ()
    measured = (
        names.statistics_ref(step.island) for step in seen.islands() if step.island is not None
    )
    refs = (names.MEAN_REF, *(ref for ref in measured if ref in observed.bindings))
    return (DropRefs(refs, "an island trains again, and another mean comes of it"),)


def _drops(
    spec: TrainingJobSpec, seen: Level, observed: Observed, *, complete: bool = False
) -> tuple[Action, ...]:
    done = [step.name for step in seen.steps if seen.done(step.name)]
    choice = retention(spec.artifacts, observed.bindings, done, complete=complete)
    return (DropRefs(choice.refs, choice.why),) if choice.refs else ()


def _wind_down(
    spec: TrainingJobSpec, seen: Level, observed: Observed, outcome: Outcome
) -> tuple[Action, ...]:
    """Children first, the hub last: they save their checkpoints in it."""
    live = sorted(name for name, child in seen.children.items() if child.state in LIVE_STATES)
    if live:
        return tuple(StopStep(name, _why_stop(outcome)) for name in live)
    hub = observed.hub
    if hub.child is None or hub.child.state not in LIVE_STATES:
        return ()
    complete = isinstance(outcome, Complete)
    drops = _drops(spec, seen, observed, complete=complete) if hub.address else ()
    return (*drops, StopHub())


def _why_stop(outcome: Outcome) -> str:
    match outcome:
        case Complete():
            return "the job is complete"
        case Failed(reason=reason):
            return f"the job failed: {reason}"
        case _:
            return "the user stopped the job"
