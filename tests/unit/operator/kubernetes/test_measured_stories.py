"""Whole jobs through the operator, and what its metrics say of them then."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from builders import job_document
from expositions import Series, of, scraped, value
from kube_story import NAMESPACE, Cluster, OperatorProcess, run_until
from virtual_time import in_virtual_time

from atoll_operator.errors import TooManyRequestsError, UnavailableError
from atoll_operator.kubernetes.api import Key
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.faults import Fault, Faults, KilledError, When
from atoll_operator.kubernetes.measuring import Levels, Measurements
from atoll_operator.kubernetes.resources import JOBS

ENSEMBLE = {"islands.count": 2}
ENOUGH = 120.0
FINISHED = "atoll_operator_trainingjobs_finished_total"
RESTARTS = "atoll_operator_island_restarts_total"
RECOVERED = "atoll_operator_island_recovery_seconds"
STARTED = "atoll_operator_trainingjob_start_seconds"


def process(
    cluster: Cluster, faults: Faults = (), measurements: Measurements | None = None
) -> OperatorProcess:
    """An operator whose requests are counted."""
    own = measurements or Measurements("1")
    return OperatorProcess(cluster, FakeApi(cluster.server, faults, own.requested), own)


def told(operator: OperatorProcess) -> Series:
    """What a scrape of it finds while it leads."""
    assert operator.controller is not None
    return scraped(operator.measurements, Levels(leads=True, jobs=operator.controller.shown()))


def ends(series: Series) -> dict[tuple[str, str], float]:
    """How often jobs have ended, by result and reason."""
    found = {(dict(it)["result"], dict(it)["reason"]): n for it, n in of(series, FINISHED).items()}
    return {end: count for end, count in found.items() if count}


def restarts(series: Series) -> dict[str, float]:
    return {dict(it)["reason"]: n for it, n in of(series, RESTARTS).items() if n}


@in_virtual_time
async def test_a_whole_job_is_counted_once() -> None:
    cluster, own = Cluster(), {"namespace": NAMESPACE, "trainingjob": "digits"}
    cluster.submit(job_document(**ENSEMBLE))
    operator = process(cluster)
    assert await run_until(cluster, operator, "Complete", ENOUGH)
    series = told(operator)
    assert ends(series) == {("Complete", "Finished"): 1}
    assert (
        value(series, "atoll_operator_trainingjob_duration_seconds_count", result="Complete") == 1
    )
    assert not restarts(series)
    assert value(series, "atoll_operator_reconcile_total", result="error") == 0
    passes = value(series, "atoll_operator_reconcile_total", result="success")
    assert passes == value(series, "atoll_operator_workqueue_wait_seconds_count") > 3
    assert value(series, "atoll_operator_hub_polls_total", result="success") >= 3
    assert value(series, "atoll_operator_trainingjobs", state="Complete") == 1
    assert value(series, "kube_atoll_trainingjob_state", **own, state="Complete") == 1
    assert value(series, "kube_atoll_trainingjob_progress_ratio", **own) == 1
    assert value(series, "kube_atoll_trainingjob_islands", **own, state="Succeeded") == 2
    _requests_agree(operator, series)


def _requests_agree(operator: OperatorProcess, series: Series) -> None:
    counted = of(series, "atoll_operator_api_requests_total")
    assert sum(counted.values()) == len(operator.api.requests)
    by_verb: dict[str, float] = {}
    for labels, count in counted.items():
        told_of = dict(labels)
        assert told_of["resource"] != "other"
        by_verb[told_of["verb"]] = by_verb.get(told_of["verb"], 0) + count
    for verb in ("create", "list", "watch", "update"):
        assert by_verb[verb] == sum(it.verb == verb for it in operator.api.requests)
    writes = {"verb": "update", "resource": "trainingjobs/status", "code": "200"}
    assert value(series, "atoll_operator_api_requests_total", **writes) >= 3


@in_virtual_time
async def test_who_leads_after_the_end_counts_no_end() -> None:
    """Nor does the same operator, which is started again, nor a second pass."""
    cluster = Cluster()
    cluster.submit(job_document(**ENSEMBLE))
    first = process(cluster)
    assert await run_until(cluster, first, "Complete", ENOUGH)
    second = process(cluster)
    assert not await run_until(cluster, second, "Running", 30.0)
    assert value(told(second), "atoll_operator_reconcile_total", result="success") >= 1
    assert ends(told(second)) == {}
    assert value(told(second), "atoll_operator_trainingjobs", state="Complete") == 1
    first.queue.add(Key(NAMESPACE, "digits"))
    assert ends(told(first)) == {("Complete", "Finished"): 1}


@in_virtual_time
async def test_an_island_that_is_given_up_is_the_reason() -> None:
    cluster = Cluster(failing={"digits-island-1"})
    cluster.submit(job_document(**ENSEMBLE))
    operator = process(cluster)
    assert await run_until(cluster, operator, "Failed", ENOUGH)
    assert ends(told(operator)) == {("Failed", "QuorumLost"): 1}
    own = {"namespace": NAMESPACE, "trainingjob": "digits"}
    failed = {"condition": "Failed", "status": "true"}
    series = told(operator)
    assert value(series, "kube_atoll_trainingjob_status_condition", **own, **failed) == 1
    assert value(series, "kube_atoll_trainingjob_islands", **own, state="Failed") == 1


@in_virtual_time
async def test_a_job_that_cannot_be_run_has_ended_too() -> None:
    cluster = Cluster()
    cluster.submit(job_document(**{"islands.quorum": 9}))
    operator = process(cluster)
    assert await run_until(cluster, operator, "Failed", ENOUGH)
    assert ends(told(operator)) == {("Failed", "Invalid"): 1}


async def _go_on(cluster: Cluster, operator: OperatorProcess, seconds: float = 3.0) -> None:
    assert not await run_until(cluster, operator, "Complete", seconds)


@in_virtual_time
async def test_a_restart_is_counted_by_whoever_leads_when_it_comes() -> None:
    """Three leaders, one after the other, count each thing once."""
    cluster = Cluster(held={"digits-island-0", "digits-island-1"})
    cluster.submit(job_document(**ENSEMBLE))
    first = process(cluster)
    await _go_on(cluster, first, 10.0)
    going = asyncio.create_task(first.run())
    await asyncio.sleep(1)
    cluster.put_attempt("digits-island-1", 1, 1000.0)
    await asyncio.sleep(1)
    cluster.end_attempt("digits-island-1", 1, 1060.0, exitCode=137, reason="OOMKilled")
    await asyncio.sleep(1)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert restarts(told(first)) == {}

    second = process(cluster)
    going = asyncio.create_task(second.run())
    await asyncio.sleep(1)
    cluster.put_attempt("digits-island-1", 2, 1090.0)
    await asyncio.sleep(1)
    cluster.end_attempt("digits-island-1", 2, 1100.0, exitCode=83)
    await asyncio.sleep(1)
    cluster.put_attempt("digits-island-1", 3, 1110.0)
    await asyncio.sleep(1)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    series = told(second)
    assert restarts(series) == {"OOMKilled": 1, "Disrupted": 1}
    assert value(series, f"{RECOVERED}_count") == 2
    assert value(series, f"{RECOVERED}_sum") == 40.0

    third = process(cluster)
    await _go_on(cluster, third)
    cluster.held.clear()
    assert await run_until(cluster, third, "Complete", ENOUGH)
    assert restarts(told(third)) == {}
    assert value(told(third), f"{RECOVERED}_count") == 0
    assert ends(told(third)) == {("Complete", "Finished"): 1}


@in_virtual_time
async def test_the_first_step_at_work_is_the_start() -> None:
    cluster = Cluster(held={"digits-partition"})
    cluster.submit(job_document(**ENSEMBLE))
    operator = process(cluster)
    going = asyncio.create_task(operator.run())
    await asyncio.sleep(2)
    cluster.run()
    assert value(told(operator), f"{STARTED}_count") == 0
    cluster.put_attempt("digits-partition", 1, 45.0)
    await asyncio.sleep(2)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert value(told(operator), f"{STARTED}_count") == 1
    assert value(told(operator), f"{STARTED}_sum") == 45.0
    later = process(cluster)
    await _go_on(cluster, later)
    assert value(told(later), f"{STARTED}_count") == 0


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize(
    "error",
    [TooManyRequestsError("later", retry_after_seconds=1.0), UnavailableError("no answer")],
    ids=lambda it: type(it).__name__,
)
@in_virtual_time
async def test_an_api_server_with_errors_is_counted_and_doubles_nothing(
    error: Any, when: When
) -> None:
    calm, cluster = Cluster(), Cluster()
    for each in (calm, cluster):
        each.submit(job_document(**ENSEMBLE))
    quiet = process(calm)
    assert await run_until(calm, quiet, "Complete", ENOUGH)
    asked = len(quiet.api.requests)
    operator = process(cluster, tuple(Fault(at, error, when) for at in range(4, asked, 3)))
    assert await run_until(cluster, operator, "Complete", ENOUGH)
    await _one_more_pass(cluster, operator)
    series = told(operator)
    assert ends(series) == {("Complete", "Finished"): 1}
    code = "0" if isinstance(error, UnavailableError) else "429"
    counted = of(series, "atoll_operator_api_requests_total")
    assert sum(count for it, count in counted.items() if ("code", code) in it) > 3
    errors = value(series, "atoll_operator_reconcile_total", result="error")
    assert errors == value(series, "atoll_operator_workqueue_retries_total") > 0


async def _one_more_pass(cluster: Cluster, operator: OperatorProcess) -> None:
    """An answer that was lost at the end is found when the watch tells of it."""
    controller = operator.controller
    assert controller is not None
    controller.saw(cluster.job())
    with suppress(UnavailableError, TooManyRequestsError):
        await controller.work(Key(NAMESPACE, "digits"))


@pytest.mark.parametrize("when", list(When))
def test_whoever_dies_at_any_request_and_who_follows_count_an_end_once_or_not_at_all(
    when: When,
) -> None:
    """Not at all: who died after the write that told of it had no time to count."""
    asked = 0

    @in_virtual_time
    async def undisturbed() -> None:
        nonlocal asked
        calm = Cluster()
        calm.submit(job_document(**ENSEMBLE))
        operator = process(calm)
        assert await run_until(calm, operator, "Complete", ENOUGH)
        asked = len(operator.api.requests)

    undisturbed()
    for at in range(0, asked, 3):

        @in_virtual_time
        async def killed(at: int = at) -> None:
            cluster = Cluster()
            cluster.submit(job_document(**ENSEMBLE))
            first, second = process(cluster, (Fault(at, KilledError(), when),)), process(cluster)
            with suppress(KilledError, BaseExceptionGroup):
                await run_until(cluster, first, "Complete", ENOUGH)
            had_ended = bool((status := cluster.job().status) and status.completion_time)
            assert await run_until(cluster, second, "Complete", ENOUGH)
            counts = [ends(scraped(it.measurements)) for it in (first, second)]
            assert sum(sum(it.values()) for it in counts) == 1 or had_ended, at
            assert not (had_ended and counts[1]), at

        killed()


@in_virtual_time
async def test_series_vanish_with_their_job() -> None:
    cluster = Cluster()
    cluster.submit(job_document(**ENSEMBLE))
    operator = process(cluster)
    assert await run_until(cluster, operator, "Complete", ENOUGH)
    assert _jobs_named(told(operator)) == {"digits"}
    key = Key(NAMESPACE, "digits")
    assert operator.controller is not None
    operator.controller.gone(key, cluster.job().uid)
    assert _jobs_named(told(operator)) == set()
    assert ends(told(operator)) == {("Complete", "Finished"): 1}


def _jobs_named(series: Series) -> set[str]:
    return {dict(labels)["trainingjob"] for name, labels in series if name.startswith("kube_")}


def _names(series: Mapping[Any, Any]) -> set[Any]:
    return {it for it in series if not it[0].startswith("kube_")}


@in_virtual_time
async def test_ten_jobs_have_no_more_series_of_the_component_than_one() -> None:
    found: list[set[Any]] = []
    for count in (1, 10):
        cluster = Cluster()
        for number in range(count):
            document = job_document(**ENSEMBLE)
            document["metadata"]["name"] = f"digits-{number}" if number else "digits"
            cluster.submit(document)
        operator = process(cluster)
        assert await run_until(cluster, operator, "Complete", ENOUGH)
        found.append(_names(told(operator)))
    assert found[0] == found[1]


@in_virtual_time
async def test_of_many_islands_all_are_counted() -> None:
    """A status lists the hundred worst, and cannot say that some of the others wait too."""
    going = {f"digits-island-{it}" for it in range(102)}
    cluster = Cluster(held=going | {"digits-evaluate"})
    cluster.submit(
        job_document(**{"islands.count": 104, "partition.featureClusters.fineClusters": 1000})
    )
    operator = process(cluster)
    await _go_on(cluster, operator, 6.0)
    own = {"namespace": NAMESPACE, "trainingjob": "digits"}
    for island in (3, 101):
        cluster.put_attempt(f"digits-island-{island}", 1, 1000.0)
        cluster.end_attempt(f"digits-island-{island}", 1, 1010.0)
        cluster.put_attempt(f"digits-island-{island}", 2, 1020.0)
        job = cluster.server.objects(JOBS)[Key(NAMESPACE, f"digits-island-{island}")]
        cluster.server.put(JOBS, {**job, "status": {"failed": 1}})
    await _go_on(cluster, operator, 3.0)
    series = told(operator)
    assert value(series, "kube_atoll_trainingjob_islands", **own, state="Succeeded") == 2
    assert value(series, "kube_atoll_trainingjob_islands", **own, state="Pending") == 102
    assert value(series, "kube_atoll_trainingjob_island_restarts", **own) == 2
