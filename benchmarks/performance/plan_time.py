"""What one look at a job takes, by the number of its islands: pipeline, plan and status.

For each strategy, at three moments of a job: at its start (nothing is there), in the middle (all
islands train and have told how far they are) and at its end (everything is bound). No cluster and
no hub: what is observed is made up beforehand. Sizes alternate within a round, so that whatever else
the machine does falls on all of them; a size's time is the smallest of its rounds, of CPU of this
process. The exponent is the slope of a straight line through the logarithms: 1 is linear. It is taken
from 100 islands on, below which what is the same for every job counts.

Beside it `seen`: children of a job read off 1 Job and 1 pod an island, as a cluster's operator does
before each plan.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from figures import Figure, Target, parser, say, tell

from atoll_api import names
from atoll_api.problems import parse_job
from atoll_api.spec import TrainingJobSpec
from atoll_api.status import TrainingJobStatus
from atoll_operator.kubernetes.observing import Scene, children_of
from atoll_operator.kubernetes.projection import SeenJob, SeenPod
from atoll_operator.plan.model import (
    Binding,
    Child,
    ChildState,
    Hub,
    Observed,
    StepProgress,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import status

STRATEGIES: Final = ("ExpertEnsemble", "IterativeMerge", "SingleMerge")
SIZES: Final = (10, 30, 100, 300, 1000, 3000, 10_000)
FITTED_FROM: Final = 100
NOW: Final = 1_800_000_000.0
LINEAR: Final = 1.1


def spec_of(strategy: str, islands: int) -> TrainingJobSpec:
    """A job of so many islands, which may be more than the API takes."""
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "wide"},
        "spec": {
            "task": {"type": "Diffusion"},
            "data": {"source": "builtin://digits"},
            "islands": {"count": 4},
            "strategy": {"type": strategy},
        },
    }
    spec = parse_job(document).spec
    count = spec.islands.model_copy(update={"count": islands})
    return spec.model_copy(update={"islands": count})


@dataclass(frozen=True)
class Moment:
    """A job as it is looked at."""

    spec: TrainingJobSpec
    observed: Observed
    previous: TrainingJobStatus | None


def at_start(spec: TrainingJobSpec) -> Moment:
    """Nothing is there."""
    return Moment(spec, Observed(NOW), None)


def in_the_middle(spec: TrainingJobSpec) -> Moment:
    """All islands train, and have said how far they are."""
    steps = pipeline(spec)
    bound = {names.ASSIGNMENT_REF: Binding("blake3:0", 1)}
    bound |= {names.checkpoint_ref(it.name, 1): Binding("blake3:1", 1) for it in steps}
    told = {
        it.name: StepProgress(number % 900, 1000, 0.5, 100.0 + number % 7)
        for number, it in enumerate(steps)
    }
    children = {it.name: Child(ChildState.RUNNING, since=NOW - 60) for it in steps[:-1]}
    return _followed(spec, Observed(NOW, _HUB, children, bound, told))


def at_the_end(spec: TrainingJobSpec) -> Moment:
    """Everything is bound."""
    steps = pipeline(spec)
    bound = {it.writes: Binding("blake3:2", 1) for it in steps}
    children = {it.name: Child(ChildState.SUCCEEDED, exit_code=0) for it in steps}
    return _followed(spec, Observed(NOW, _HUB, children, bound))


_HUB: Final = Hub(Child(ChildState.RUNNING), "hub:9443")


def _followed(spec: TrainingJobSpec, observed: Observed) -> Moment:
    """With the status that a pass before has written."""
    decided = plan(spec, observed, NOW)
    return Moment(spec, observed, status(spec, observed, decided, None, NOW))


def look(moment: Moment) -> TrainingJobStatus:
    """One pass of the pure part."""
    decided = plan(moment.spec, moment.observed, NOW + 5)
    return status(moment.spec, moment.observed, decided, moment.previous, NOW + 5)


def scene_of(spec: TrainingJobSpec) -> Scene:
    """An ensemble on a cluster: a Job and a pod for each step."""
    jobs, pods = {}, []
    for step in pipeline(spec):
        name = names.step_object("wide", step.name)
        own = ("lab", name, f"uid-{name}", "uid", "wide", step.role, False)
        jobs[name] = SeenJob(
            *own,
            island=step.island,
            count=None,
            suspended=False,
            queue="",
            complete=False,
            failed=False,
            why_failed="",
            failures=0,
            completed_indexes="",
            failed_indexes="",
            max_failed_indexes=None,
        )
        of_pod = ("lab", f"{name}-0", f"uid-{name}-0", f"uid-{name}", "wide", step.role, False)
        pods.append(_running(of_pod, name))
    return Scene("wide", jobs, tuple(pods))


def _running(own: tuple[str, str, str, str, str, str, bool], owner: str) -> SeenPod:
    return SeenPod(
        *own,
        owner=owner,
        index=None,
        phase="Running",
        created_at=NOW,
        running_since=NOW,
        ready=True,
        waiting=None,
        ending=None,
        before=None,
        restarts=0,
        failures_before=0,
    )


MOMENTS: Final[dict[str, Callable[[TrainingJobSpec], Moment]]] = {
    "at the start": at_start,
    "in the middle": in_the_middle,
    "at the end": at_the_end,
}


def works(strategy: str, moment: str, sizes: Sequence[int]) -> list[Callable[[], object]]:
    """The same look at jobs of all sizes."""
    found: list[Callable[[], object]] = []
    for size in sizes:
        made = MOMENTS[moment](spec_of(strategy, size))
        found.append(lambda made=made: look(made))  # type: ignore[misc]
    return found


def seen_works(sizes: Sequence[int]) -> list[Callable[[], object]]:
    """The look at a cluster."""
    found: list[Callable[[], object]] = []
    for size in sizes:
        spec = spec_of("ExpertEnsemble", size)
        scene = scene_of(spec)
        found.append(lambda spec=spec, scene=scene: children_of(scene, spec))  # type: ignore[misc]
    return found


def seconds_of(arms: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """CPU seconds of each, round by round; a short one is done more often in a round."""
    repeats = [_repeats(it) for it in arms]
    taken: list[list[float]] = [[] for _ in arms]
    gc.collect()
    gc.disable()  # a collection of a large one would fall on whoever comes next
    try:
        for _ in range(rounds):
            for arm, times, found in zip(arms, repeats, taken, strict=True):
                began = time.process_time()
                for _ in range(times):
                    arm()
                found.append((time.process_time() - began) / times)
                gc.collect()
    finally:
        gc.enable()
    return taken


def _repeats(work: Callable[[], object]) -> int:
    began = time.process_time()
    work()
    return max(1, int(0.02 / max(1e-6, time.process_time() - began)))


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Of the power of the size that the time goes with."""
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)


def figures_of(name: str, sizes: Sequence[int], runs: Sequence[Sequence[float]]) -> list[Figure]:
    """The exponent, and what an island takes in the largest job."""
    best = [min(it) for it in runs]
    fitted = [(size, it) for size, it in zip(sizes, best, strict=True) if size >= FITTED_FROM]
    last = [1e6 * it / sizes[-1] for it in runs[-1]]
    for size, it in zip(sizes, best, strict=True):
        say(f"  {size:6} islands: {1e3 * it:9.3f} ms, {1e6 * it / size:7.2f} us an island")
    return [
        Figure(
            f"{name}: exponent of the best runs",
            exponent(*zip(*fitted, strict=True)),
            "",
            Target(LINEAR),
        ),
        Figure(f"{name}: an island, of {sizes[-1]:,}, best run", min(last), "us", None, last),
    ]


def measure(sizes: Sequence[int], rounds: int) -> list[Figure]:
    """All of it."""
    found = []
    for strategy in STRATEGIES:
        for moment in MOMENTS:
            name = f"{strategy}, {moment}"
            say(name)
            found += figures_of(name, sizes, seconds_of(works(strategy, moment, sizes), rounds))
    say("seen")
    return found + figures_of("children seen", sizes, seconds_of(seen_works(sizes), rounds))


def main() -> None:
    """Measure, print, and write JSON where asked."""
    options = parser(__doc__, "up to 3,000 islands, three rounds").parse_args()
    sizes, rounds = (SIZES[:-1], 3) if options.quick else (SIZES, 7)
    tell(measure(sizes, rounds), options.json)


if __name__ == "__main__":
    main()
