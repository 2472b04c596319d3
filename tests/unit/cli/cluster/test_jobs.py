"""A job on a cluster: read, watched, stopped, deleted."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from submitted_jobs import COMPLETE, FAILED, KEY, LAB, RUNNING, lab, says, submitted
from virtual_time import in_virtual_time

from atoll_api.exit_codes import ExitCode
from atoll_cli.cluster import jobs
from atoll_cli.cluster.place import Place
from atoll_cli.errors import CliError
from atoll_operator.errors import ForbiddenError, NotFoundError, UnavailableError
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.faults import Fault
from atoll_operator.kubernetes.resources import TRAINING_JOBS

UNKNOWN = NotFoundError("HTTP 404: 404 page not found")


async def test_a_job_and_what_is_said_of_it() -> None:
    api = lab()
    submitted(api)
    found = await jobs.read(api, LAB, "digits")
    assert (found.heard, found.status.state) == (False, "Pending")
    says(api, RUNNING)
    assert (await jobs.read(api, LAB, "digits")).status == RUNNING


async def test_a_status_of_another_release_is_said_to_be_one() -> None:
    api = lab()
    body = submitted(api)
    api.server.replace(TRAINING_JOBS, {**body, "status": {"mood": "good"}}, "status")
    found = await jobs.read(api, LAB, "digits")
    with pytest.raises(CliError, match="of another release") as caught:
        _ = found.status
    assert caught.value.exit_code == ExitCode.FINAL


async def test_a_job_that_is_not_there_and_those_that_are() -> None:
    api = lab()
    with pytest.raises(CliError, match="namespace lab of context kind-lab; there is: none"):
        await jobs.read(api, LAB, "digits")
    for number in range(14):
        submitted(api, f"job-{number}")
    with pytest.raises(CliError, match=r"there is: job-0, .*, \.\.\.$"):
        await jobs.read(api, LAB, "xyz")
    submitted(api)
    with pytest.raises(CliError, match="did you mean digits"):
        await jobs.read(api, LAB, "digit")


async def test_a_namespace_that_is_not_there() -> None:
    nowhere = Place("nowhere", "kind-lab")
    for question in (jobs.read(lab(), nowhere, "digits"), jobs.read_all(lab(), nowhere)):
        with pytest.raises(CliError, match="no namespace nowhere"):
            await question


async def test_who_may_not_look_at_namespaces_is_told_of_the_job() -> None:
    faults = tuple(Fault(at, ForbiddenError("no")) for at in (1, 2))
    with pytest.raises(CliError, match="no TrainingJob of that name"):
        await jobs.read(FakeApi(lab().server, faults), LAB, "digits")


async def test_a_cluster_without_the_definition_is_not_one_without_the_job() -> None:
    with pytest.raises(NotFoundError):
        await jobs.read(FakeApi(lab().server, (Fault(0, UNKNOWN),)), LAB, "digits")


async def test_all_jobs_page_by_page() -> None:
    api = lab()
    for name in ("b", "a", "c"):
        submitted(api, name)
    assert [it.name for it in await jobs.read_all(api, LAB, page_size=2)] == ["a", "b", "c"]
    assert len(api.requests) == 2


async def watched(api: FakeApi, count: int) -> list[str]:
    seen: list[str] = []
    async with aclosing(jobs.watch(api, LAB, "digits")) as versions:
        async for version in versions:
            seen.append(version.status.state)
            if len(seen) == count:
                break
    return seen


@in_virtual_time
async def test_every_new_version_is_told_once() -> None:
    api = lab()
    submitted(api)
    watching = asyncio.ensure_future(watched(api, 3))
    for status in (RUNNING, RUNNING, COMPLETE):
        await asyncio.sleep(2.5)
        says(api, status)
    assert await watching == ["Pending", "Running", "Complete"]


@in_virtual_time
async def test_an_api_server_that_is_away_for_a_while_is_waited_for() -> None:
    api = lab()
    submitted(api)
    watching = asyncio.ensure_future(watched(api, 2))
    await asyncio.sleep(1)
    api.unreachable = True
    await asyncio.sleep(100)
    says(api, COMPLETE)
    api.unreachable = False
    assert await watching == ["Pending", "Complete"]


@in_virtual_time
async def test_patience_ends() -> None:
    api = lab()
    submitted(api)
    watching = asyncio.ensure_future(watched(api, 2))
    await asyncio.sleep(1)
    api.unreachable = True
    with pytest.raises(UnavailableError):
        await watching


@pytest.mark.parametrize("made_anew", [(), ("digits",)])
@in_virtual_time
async def test_a_job_that_is_deleted_is_not_watched_any_more(made_anew: Sequence[str]) -> None:
    api = lab()
    submitted(api)
    watching = asyncio.ensure_future(watched(api, 2))
    await asyncio.sleep(1)
    await api.delete(TRAINING_JOBS, KEY)
    for name in made_anew:
        submitted(api, name)
    with pytest.raises(CliError, match="was deleted"):
        await watching


async def test_suspended_and_resumed_and_nothing_to_do() -> None:
    api = lab()
    submitted(api)
    done = [await jobs.suspend(api, LAB, "digits", wanted=it) for it in (False, True, True, False)]
    assert done == [False, True, False, True]
    assert api.server.objects(TRAINING_JOBS)[KEY]["spec"]["suspend"] is False


@pytest.mark.parametrize("status", [COMPLETE, FAILED])
async def test_what_has_ended_is_not_stopped(status: object) -> None:
    api = lab()
    submitted(api)
    says(api, COMPLETE if status is COMPLETE else FAILED)
    with pytest.raises(CliError, match="there is nothing to suspend"):
        await jobs.suspend(api, LAB, "digits", wanted=True)


async def test_only_the_job_that_was_looked_at_is_deleted() -> None:
    api = lab()
    submitted(api)
    seen = await jobs.read(api, LAB, "digits")
    await api.delete(TRAINING_JOBS, KEY)
    submitted(api)
    with pytest.raises(Exception, match="precondition"):
        await jobs.delete(api, seen)
    await jobs.delete(api, await jobs.read(api, LAB, "digits"))
    assert KEY not in api.server.objects(TRAINING_JOBS)
