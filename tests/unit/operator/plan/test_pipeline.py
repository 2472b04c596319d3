"""Which steps a job has, and what each needs."""

from typing import Any, get_args

import pytest
from builders import job, job_document, make_job

from atoll_api.names import Role
from atoll_api.problems import InvalidJobError, parse_job
from atoll_api.spec import TrainingJobSpec
from atoll_operator.plan.pipeline import pipeline


def test_expert_ensemble_has_no_arrow_between_islands() -> None:
    steps = {str(step.name): step for step in pipeline(job(4, baseline=True, quorum=3).spec)}

    assert list(steps) == [
        "partition",
        "island-0",
        "island-1",
        "island-2",
        "island-3",
        "router",
        "baseline",
        "evaluate",
    ]
    assert {steps[name].needs for name in steps if name.startswith("island")} == {("partition",)}
    assert steps["evaluate"].needs == ("partition", "router", "baseline")
    assert steps["evaluate"].needs_islands == 3


def test_baseline_is_a_step_only_when_asked_for() -> None:
    steps = {str(step.name): step for step in pipeline(job(2).spec)}

    assert "baseline" not in steps
    assert steps["evaluate"].needs == ("partition", "router")
    assert steps["evaluate"].needs_islands == 2


@pytest.mark.parametrize("count", [1, 7])
def test_every_step_comes_after_its_needs_and_writes_its_own_ref(count: int) -> None:
    steps = pipeline(job(count, baseline=True).spec)

    seen: set[str] = set()
    for step in steps:
        assert set(step.needs) <= seen
        seen.add(step.name)
    assert len({step.writes for step in steps}) == len(steps)


def text_job(**ensemble: object) -> TrainingJobSpec:
    return job(
        2,
        baseline=True,
        task={"type": "Language"},
        data={"source": "builtin://python-stdlib"},
        strategy={"type": "ExpertEnsemble", "expertEnsemble": ensemble},
    ).spec


@pytest.mark.parametrize("router", ["Centroid", "Likelihood"])
def test_what_routes_text_is_no_step(router: str) -> None:
    steps = {str(it.name): it for it in pipeline(text_job(router={"type": router}))}

    assert list(steps) == ["partition", "island-0", "island-1", "baseline", "evaluate"]
    assert steps["evaluate"].needs == ("partition", "baseline")


def test_experts_and_baseline_wait_for_the_seed() -> None:
    steps = {str(it.name): it for it in pipeline(text_job(seedSteps=5))}

    assert list(steps)[:2] == ["partition", "seed"]
    assert steps["seed"].needs == ("partition",)
    assert steps["seed"].writes == "seed"
    for name in ("island-0", "island-1", "baseline"):
        assert steps[name].needs == ("partition", "seed")
    assert steps["evaluate"].needs == ("partition", "baseline")


def test_a_learned_router_needs_no_seed() -> None:
    strategy = {"type": "ExpertEnsemble", "expertEnsemble": {"seedSteps": 5}}
    steps = {str(it.name): it for it in pipeline(job(2, strategy=strategy).spec)}

    assert steps["router"].needs == ("partition",)
    assert steps["island-0"].needs == ("partition", "seed")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"baseline.enabled": True, "strategy.expertEnsemble": {"seedSteps": 1}},
        {"task": {"type": "Language"}, "data.source": "builtin://python-stdlib"},
        {"strategy": {"type": "IterativeMerge"}, "training.ema": {}},
        {"strategy": {"type": "SingleMerge"}, "baseline.enabled": True},
    ],
)
def test_a_template_is_taken_for_exactly_the_roles_that_there_are(spec: dict[str, Any]) -> None:
    there = {"hub", *(step.role for step in pipeline(make_job(**spec).spec))}
    for role in get_args(Role):
        document = job_document(**spec, roles=[{"role": role, "template": {}}])
        if role in there:
            parse_job(document)
        else:
            with pytest.raises(InvalidJobError, match=f"has no {role}"):
                parse_job(document)
