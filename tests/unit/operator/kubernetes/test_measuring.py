"""What an operator tells of itself and of jobs: every family, once, and nothing without bound."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from expositions import of, scraped, value
from kube_story import Hubs
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from atoll_api.names import OPERATOR, Process, Ref
from atoll_api.status import Condition, Progress, StepState, StepStatus, TrainingJobStatus
from atoll_operator import metrics
from atoll_operator.errors import HubUnavailableError
from atoll_operator.identity import Authority
from atoll_operator.kubernetes.api import Key, Request
from atoll_operator.kubernetes.lifecycle import (
    ENDS,
    Finished,
    Merged,
    Occurrence,
    Recovered,
    Restarted,
    Started,
)
from atoll_operator.kubernetes.measuring import CountedHubs, Levels, Measurements
from atoll_operator.kubernetes.object_series import Shown, tally_of
from atoll_operator.kubernetes.training_jobs import view_of
from atoll_operator.kubernetes.work_queue import Pass
from atoll_operator.plan.step_status import Tally
from atoll_telemetry.families import Family, Kind

STATUS = TrainingJobStatus(
    state="Running",
    conditions=(
        Condition(
            type="Running",
            status="True",
            reason="Training",
            message="",
            last_transition_time="2026-01-01T00:00:00Z",
        ),
    ),
    islands=(
        StepStatus(name="island-1", island=1, state="Pending", restarts=2),
        StepStatus(name="island-0", island=0, state="Running", restarts=1),
    ),
    islands_ready="0/2",
    progress=Progress(percent=40),
)


def job(name: str = "digits", status: TrainingJobStatus | None = STATUS, **spec: Any) -> Shown:
    metadata = {
        "namespace": "team",
        "name": name,
        "uid": f"uid-{name}",
        "creationTimestamp": "1970-01-01T00:16:40Z",
    }
    whole = {"strategy": {"type": "SingleMerge"}, **spec}
    told = {"status": status.to_document()} if status else {}
    return Shown(view_of({"metadata": metadata, "spec": whole, **told}))


def ended(error: Exception | None = None) -> Pass[Any]:
    return Pass(Key("team", "digits"), 0.5, 0.02, int(error is not None), error)


OCCURRENCES: tuple[Occurrence, ...] = (
    Finished("Failed", "QuorumLost", 90.0),
    Started(12.0),
    Restarted("OOMKilled"),
    Recovered(20.0),
    Merged(3.0),
)


def busy() -> Measurements:
    """An operator to which everything has happened once."""
    here = Measurements("0.1.0")
    here.requested(Request("update", "trainingjobs/status", 409, 0.01))
    here.passed(ended())
    here.passed(ended(RuntimeError()))
    here.polled(answered=True)
    here.polled(answered=False)
    for it in OCCURRENCES:
        here.happened(it)
    return here


LEVELS = Levels(
    leads=True,
    waiting=3,
    working=2,
    longest_seconds=1.5,
    watch_ages={"jobs": 4.0, "pods": math.inf, "statefulsets": 0.0},
    jobs=(job(), job("other", None)),
)


@pytest.mark.parametrize("family", metrics.ALL, ids=lambda it: it.name)
def test_every_family_is_told_with_the_labels_of_the_catalogue(family: Family) -> None:
    series = scraped(busy(), LEVELS)
    suffixes = ("_bucket", "_sum", "_count") if family.kind is Kind.HISTOGRAM else ("",)
    for suffix in suffixes:
        found = of(series, family.name + suffix)
        assert found
        bound = {"le"} if suffix == "_bucket" else set()
        for labels in found:
            assert {name for name, _ in labels} == {it.name for it in family.labels} | bound
            for label in family.labels:
                if label.values:
                    assert dict(labels)[label.name] in label.values


def test_nothing_else_is_told_but_what_the_process_and_its_garbage_collector_are() -> None:
    known = {it.name for it in metrics.ALL}
    for name, _ in scraped(busy(), LEVELS):
        own = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        assert own in known or name.startswith(("process_", "python_gc_")), name


def test_no_object_is_named_in_what_the_component_tells() -> None:
    for name, labels in scraped(busy(), LEVELS):
        if not name.startswith("kube_"):
            assert not {"namespace", "trainingjob", "uid"} & {it for it, _ in labels}
            assert not {"team", "digits", "other"} & ({it for _, it in labels} - {"other"})


def test_counters_begin_at_zero() -> None:
    series = scraped(Measurements("0.1.0"))
    assert value(series, "atoll_operator_reconcile_total", result="error") == 0
    assert value(series, "atoll_operator_island_restarts_total", reason="Disrupted") == 0
    finished = of(series, "atoll_operator_trainingjobs_finished_total")
    assert {(dict(it)["result"], dict(it)["reason"]) for it in finished} == set(ENDS)
    assert set(finished.values()) == {0}


def test_what_happens_is_counted_where_it_belongs() -> None:
    series = scraped(busy(), LEVELS)
    requests = {"verb": "update", "resource": "trainingjobs/status", "code": "409"}
    assert value(series, "atoll_operator_api_requests_total", **requests) == 1
    assert value(series, "atoll_operator_api_request_duration_seconds_sum", verb="update") == 0.01
    for result in ("success", "error"):
        assert value(series, "atoll_operator_reconcile_total", result=result) == 1
        assert value(series, "atoll_operator_hub_polls_total", result=result) == 1
    assert value(series, "atoll_operator_workqueue_retries_total") == 1
    assert value(series, "atoll_operator_workqueue_wait_seconds_sum") == 1.0
    assert value(series, "atoll_operator_reconcile_duration_seconds_count") == 2
    told = {"result": "Failed", "reason": "QuorumLost"}
    assert value(series, "atoll_operator_trainingjobs_finished_total", **told) == 1
    lasted = "atoll_operator_trainingjob_duration_seconds_sum"
    assert value(series, lasted, result="Failed") == 90.0
    assert value(series, "atoll_operator_trainingjob_start_seconds_sum") == 12.0
    assert value(series, "atoll_operator_island_restarts_total", reason="OOMKilled") == 1
    assert value(series, "atoll_operator_island_recovery_seconds_sum") == 20.0
    assert value(series, "atoll_operator_merge_duration_seconds_sum") == 3.0


def test_levels_are_those_of_the_moment() -> None:
    here = Measurements("0.1.0", clock=iter([100.0, 107.0]).__next__)
    series = scraped(here, LEVELS)
    assert value(series, "atoll_operator_build_info", version="0.1.0") == 1
    assert value(series, "atoll_operator_leader") == 1
    assert value(series, "atoll_operator_workqueue_depth") == 3
    assert value(series, "atoll_operator_workqueue_working") == 2
    assert value(series, "atoll_operator_workqueue_longest_running_seconds") == 1.5
    assert value(series, "atoll_operator_watch_age_seconds", resource="jobs") == 4.0
    unheard = value(series, "atoll_operator_watch_age_seconds", resource="pods")
    assert unheard == 7.0, "as long as this process is there: an infinite age could not be drawn"
    assert value(series, "atoll_operator_trainingjobs", state="Running") == 1
    assert value(series, "atoll_operator_trainingjobs", state="Pending") == 1
    assert value(series, "atoll_operator_trainingjobs", state="Failed") == 0


def test_a_kind_that_the_catalogue_does_not_know_is_another() -> None:
    here = Measurements("0.1.0")
    here.requested(Request("get", "widgets/scale", 200, 0.1))
    labels = {"verb": "get", "resource": "other", "code": "200"}
    assert value(scraped(here), "atoll_operator_api_requests_total", **labels) == 1


def test_who_does_not_lead_tells_of_no_job() -> None:
    here = busy()
    assert of(scraped(here, LEVELS), "kube_atoll_trainingjob_info")
    series = scraped(here, replace(LEVELS, leads=False))
    assert not [name for name, _ in series if name.startswith("kube_")]
    assert set(of(series, "atoll_operator_trainingjobs").values()) == {0}
    assert value(series, "atoll_operator_leader") == 0
    assert value(series, "atoll_operator_workqueue_depth") == 3


def test_series_of_objects_can_be_switched_off() -> None:
    series = scraped(Measurements("0.1.0", with_objects=False), LEVELS)
    assert not [name for name, _ in series if name.startswith("kube_")]
    assert value(series, "atoll_operator_trainingjobs", state="Running") == 1


def test_the_series_of_a_job_go_with_it() -> None:
    here = busy()
    before = {it for it in scraped(here, LEVELS) if it[0].startswith("kube_")}
    gone = set(scraped(here, replace(LEVELS, jobs=(job(),))))
    assert {dict(labels)["trainingjob"] for _, labels in before - gone} == {"other"}
    assert {dict(labels)["trainingjob"] for _, labels in before & gone} == {"digits"}
    assert not [it for it in scraped(here, replace(LEVELS, jobs=())) if it[0].startswith("kube_")]


def test_a_job_is_told_as_its_status_is() -> None:
    series = scraped(busy(), LEVELS)
    own = {"namespace": "team", "trainingjob": "digits"}
    info = {**own, "uid": "uid-digits", "strategy": "SingleMerge"}
    assert value(series, "kube_atoll_trainingjob_info", **info) == 1
    assert value(series, "kube_atoll_trainingjob_created", **own) == 1000.0
    assert value(series, "kube_atoll_trainingjob_progress_ratio", **own) == 0.4
    assert value(series, "kube_atoll_trainingjob_island_restarts", **own) == 3
    states = of(series, "kube_atoll_trainingjob_state")
    assert [dict(it)["state"] for it, on in states.items() if on and ("trainingjob", "digits") in it] == ["Running"]  # fmt: skip
    told = {**own, "condition": "Running"}
    name = "kube_atoll_trainingjob_status_condition"
    assert [value(series, name, **told, status=it) for it in ("true", "false", "unknown")] == [1, 0, 0]  # fmt: skip
    islands = dict.fromkeys(get_args(StepState), 0) | {"Pending": 1, "Running": 1}
    for state, count in islands.items():
        assert value(series, "kube_atoll_trainingjob_islands", **own, state=state) == count


def test_a_job_without_a_status_waits() -> None:
    series = scraped(busy(), LEVELS)
    own = {"namespace": "team", "trainingjob": "other"}
    assert value(series, "kube_atoll_trainingjob_state", **own, state="Pending") == 1
    assert value(series, "kube_atoll_trainingjob_progress_ratio", **own) == 0
    assert not [it for it in of(series, "kube_atoll_trainingjob_status_condition") if ("trainingjob", "other") in it]  # fmt: skip


def many(shown: dict[StepState, int], ready: str) -> TrainingJobStatus:
    listed = tuple(
        StepStatus(name="island", state=state) for state, count in shown.items() for _ in range(count)
    )  # fmt: skip
    return TrainingJobStatus(islands=listed, islands_ready=ready)


@pytest.mark.parametrize(
    ("shown", "ready", "expected"),
    [
        ({}, "", {}),
        ({"Failed": 1, "Running": 3}, "0/4", {"Failed": 1, "Running": 3}),
        ({"Succeeded": 4}, "4/4", {"Succeeded": 4}),
        ({"Failed": 2, "Running": 98}, "50/200", {"Failed": 2, "Running": 148, "Succeeded": 50}),
        ({"Running": 60, "Succeeded": 40}, "140/200", {"Running": 60, "Succeeded": 140}),
        ({"Waiting": 100}, "0/1000", {"Waiting": 1000}),
    ],
)
def test_islands_are_counted_though_a_status_lists_a_hundred(
    shown: dict[StepState, int], ready: str, expected: dict[StepState, int]
) -> None:
    found = tally_of(many(shown, ready)).states
    assert {state: count for state, count in found.items() if count} == expected


def test_what_the_leader_has_counted_counts_more() -> None:
    shown = Shown(job().view, Tally({"Waiting": 150, "Running": 50}, restarts=9))
    series = scraped(busy(), replace(LEVELS, jobs=(shown,)))
    own = {"namespace": "team", "trainingjob": "digits"}
    assert value(series, "kube_atoll_trainingjob_islands", **own, state="Waiting") == 150
    assert value(series, "kube_atoll_trainingjob_islands", **own, state="Running") == 50
    assert value(series, "kube_atoll_trainingjob_island_restarts", **own) == 9


def test_a_name_of_any_letters_is_told_as_it_is() -> None:
    odd = job().view
    nothing = Shown(replace(odd, strategy="", uid="2"))
    shown = Shown(replace(odd, strategy='a"b\\c\n'))
    series = scraped(busy(), replace(LEVELS, jobs=(shown, nothing)))
    strategies = {dict(it)["strategy"] for it in of(series, "kube_atoll_trainingjob_info")}
    assert strategies == {'a"b\\c\n', ""}


def test_a_prometheus_of_today_is_answered_in_openmetrics() -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
    text, content_type = busy().exposition(LEVELS, accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics(text.decode())  # type: ignore[no-untyped-call]
    names = {it.name for it in families}
    assert {it.name.removesuffix("_total") for it in metrics.ALL} <= names
    plain, content_type = busy().exposition(LEVELS, "*/*")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert b"# EOF" not in plain


async def test_questions_to_hubs_are_counted_and_pass() -> None:
    here, hubs = Measurements("0.1.0"), Hubs()
    operator = Authority("uid", datetime.now(UTC)).issue(Process("uid", OPERATOR))
    counted = CountedHubs(hubs, here)
    await counted.excuse("a", operator, [Ref("x"), Ref("y")])
    await counted.drop("a", operator, [Ref("x")])
    _, bound = await counted.snapshot("a", operator)
    assert bound.keys() == {"y"}
    hubs.silent = True
    with pytest.raises(HubUnavailableError):
        await counted.snapshot("a", operator)
    series = scraped(here)
    assert value(series, "atoll_operator_hub_polls_total", result="success") == 1
    assert value(series, "atoll_operator_hub_polls_total", result="error") == 1
