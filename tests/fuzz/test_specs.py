"""A job that anybody may write: problems in words, or a job of which all that follows can be made."""

import json
from pathlib import Path
from random import Random
from typing import Final

from cluster_jobs import SETTINGS, accepted, all_objects
from drawn_jobs import drawn_job
from fuzzing import Fuzz
from worlds import START

from atoll_api import resolved_job, work_order
from atoll_api.names import Process, Ref, StepName
from atoll_api.problems import InvalidJobError, parse_job, warnings
from atoll_api.resolved_job import ResolvedJob
from atoll_api.spec import TrainingJob
from atoll_api.status import TrainingJobStatus
from atoll_operator.kubernetes.manifests.blueprint import Blueprint
from atoll_operator.local.run import resolve
from atoll_operator.local.same_job import difference
from atoll_operator.plan.model import (
    Binding,
    Child,
    ChildState,
    Hub,
    Observed,
    Step,
    StepProgress,
)
from atoll_operator.plan.pipeline import pipeline
from atoll_operator.plan.plan import plan
from atoll_operator.plan.status import ended_in, status

MOST_CHARACTERS: Final = 4000
"""Of one problem: it names accepted keys, of which there are many."""
MOST_STEPS: Final = 12
"""Whose orders are made in one case; each gets its turn."""


def case(random: Random) -> str:
    document = drawn_job(random)
    try:
        job = parse_job(document)
    except InvalidJobError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.path
            assert problem.message
            assert len(str(problem)) < MOST_CHARACTERS, f"{problem.path}: {len(str(problem))}"
        return "refused"
    assert parse_job(job.to_document()) == job
    warnings(job.spec)
    local = resolve(job, Path("/nowhere"))
    assert difference(local, resolve(local, Path("/elsewhere"))) is None
    steps = pipeline(job.spec)
    live(random, job, steps)
    order(random, accepted(job), steps)
    objects = all_objects(Blueprint(accepted(job), SETTINGS))
    names = [(it["kind"], it["metadata"]["name"]) for it in objects]
    assert len(set(names)) == len(names)
    json.dumps(objects)
    return "accepted"


def live(random: Random, job: TrainingJob, steps: tuple[Step, ...]) -> None:
    """The plan and the status of any world, one after the other; the end stands."""
    shown: TrainingJobStatus | None = None
    for now in range(3):
        seen = drawn_world(random, steps, shown)
        decided = plan(job.spec, seen, START + now)
        shown = status(job.spec, seen, decided, shown, START + now)
        assert TrainingJobStatus.from_document(json.loads(json.dumps(shown.to_document()))) == shown


def drawn_world(
    random: Random, steps: tuple[Step, ...], shown: TrainingJobStatus | None
) -> Observed:
    some = [it for it in steps if random.random() < 0.7]
    hub = Hub(drawn_child(random), random.choice((None, "127.0.0.1:7000", "127.0.0.1:7000")))
    return Observed(
        start_time=START,
        hub=random.choice((Hub(), hub, hub, hub)),
        children={it.name: drawn_child(random) for it in some},
        bindings={ref: Binding("blake3:0", 1) for it in some for ref in drawn_refs(random, it)},
        progress={StepName(it.name): drawn_progress(random) for it in some[:5]},
        stop_requested=random.random() < 0.1,
        ended=ended_in(shown),
    )


def drawn_refs(random: Random, step: Step) -> tuple[Ref, ...]:
    """All, none, or what is left when one was removed."""
    return random.choice((step.refs, step.refs[1:], ()))


def drawn_child(random: Random) -> Child:
    state = random.choice(tuple(ChildState))
    code = random.choice((None, 0, 1, 65, 74, 83, 137, -9))
    message = random.choice(("", "it broke", "\x00\n\ud800".encode(errors="replace").decode()))
    since = random.choice((None, START))
    return Child(state, random.randint(0, 4), code, message, since, random.random() < 0.1)


def drawn_progress(random: Random) -> StepProgress:
    numbers = (0, 1, 7, 2**31, 2**62)
    loss = random.choice((None, 0.5, 1e308))
    return StepProgress(random.choice(numbers), random.choice(numbers), loss, loss, "m" * 9)


def order(random: Random, resolved: ResolvedJob, steps: tuple[Step, ...]) -> None:
    """What processes are told can be written and read back."""
    again = resolved_job.parse(json.dumps(resolved.to_document()))
    assert again == resolved
    hub = resolved_job.order_of_hub(again)
    assert work_order.parse(work_order.dump(hub)) == hub
    for step in random.sample(steps, min(MOST_STEPS, len(steps))):
        told = resolved_job.order_of(again, Process(again.job.uid, step.role, step.island or 0))
        assert work_order.parse(work_order.dump(told)) == told
        assert step.refs == work_order.refs_written(told)


def test_specs(fuzz: Fuzz) -> None:
    fuzz.run("specs", case, {"refused", "accepted"})
