"""The shell around the brain: observe, plan, apply, write the status once, then tell.

Knows the Runtime protocol and no runtime, so a laptop and a cluster run the same passes.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from atoll_api.names import StepName
from atoll_api.spec import TrainingJob
from atoll_operator.plan.events import events
from atoll_operator.plan.model import Action, Ongoing, Outcome, Plan, StartStep, StopStep
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import ended_in, status
from atoll_operator.runtime import Runtime
from atoll_telemetry import logs, tracing

RESYNC_SECONDS = 0.5
"""How long a pass may be put off when nothing says that something changed."""

_log = logging.getLogger(__name__)


async def reconcile_once(job: TrainingJob, runtime: Runtime) -> Plan:
    """One pass. Passes may be repeated, or cut short by an error, at any point."""
    began_ns = tracing.now_ns()
    previous = await runtime.read_status()
    observed = replace(await runtime.observe(), ended=ended_in(previous))
    now = runtime.now()
    decided = plan(job.spec, observed, now)
    if decided.actions:
        with tracing.span("reconcile", began_ns=began_ns):
            await _apply(runtime, decided.actions)
    if observed.ended is not None and not decided.actions:
        return decided  # all has been said; the world it was said of may be gone by now
    current = status(job.spec, observed, decided, previous, now)
    if current != previous and await runtime.write_status(current):
        told = events(previous, current)
        await runtime.tell(told)
        for event in told:
            _log.info("%s", event.message, extra=logs.extra(reason=event.reason))
        if observed.ended is None and ended_in(current) is not None:
            tracing.root("job", observed.start_time, state=current.state)
    return decided


async def run_until_ended(job: TrainingJob, runtime: Runtime) -> Outcome:
    """Pass after pass until the job has ended and nothing is left to stop."""
    while True:
        decided = await reconcile_once(job, runtime)
        if not isinstance(decided.outcome, Ongoing) and not decided.actions:
            return decided.outcome
        await runtime.wait(RESYNC_SECONDS)


async def _apply(runtime: Runtime, actions: Sequence[Action]) -> None:
    """In their order; steps that start, several at once, for none waits for another of them."""
    for kind, alike in groupby(actions, key=type):
        several = tuple(alike)
        at_once = runtime.starts_at_once if kind is StartStep else 1
        for first in range(0, len(several), at_once):
            applied = (_traced(runtime, it) for it in several[first : first + at_once])
            for ended in await asyncio.gather(*applied, return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended


async def _traced(runtime: Runtime, action: Action) -> None:
    """Carry out one action, as a span of its own."""
    match action:
        case StartStep(step=step):
            name: StepName | None = step.name
        case StopStep(name=stopped):
            name = stopped
        case _:
            name = None
    _log.debug("%s %s", type(action).__name__, name or "")
    with tracing.span(type(action).__name__, step=name):
        await runtime.apply(action)
