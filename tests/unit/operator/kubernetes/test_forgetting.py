"""A job that is gone is forgotten, however its deletion is told, and if it is not told at all."""

import asyncio

import pytest
from builders import job_document
from kube_story import NAMESPACE, Cluster, OperatorProcess, running
from virtual_time import in_virtual_time

from atoll_operator.errors import UnavailableError
from atoll_operator.kubernetes import roll_call
from atoll_operator.kubernetes.api import Json, Key, Propagation
from atoll_operator.kubernetes.controller import Controller
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.resources import TRAINING_JOBS

JOB = Key(NAMESPACE, "digits")


def controller_of(process: OperatorProcess) -> Controller:
    assert process.controller is not None
    return process.controller


@in_virtual_time
async def test_a_deletion_is_told_before_the_answer_to_a_write_that_was_done() -> None:
    answer_seconds, writes = 1.0, 0
    for moment in range(30):
        cluster = Cluster()
        cluster.submit(job_document(**{"islands.count": 2}))
        async with running(cluster) as process:
            process.api.seconds_after = answer_seconds
            await asyncio.sleep(5.0 + moment * answer_seconds)
            last = process.api.requests[-1]
            writes += (last.verb, last.resource) == ("update", "trainingjobs")
            process.api.deaf = True  # a watch tells of a version before it tells of the deletion
            controller_of(process).gone(JOB, cluster.job().uid)
            await asyncio.sleep(3 * answer_seconds)
            assert not controller_of(process).shown(), moment
    assert writes, "no moment was one of those meant"


def named(name: str) -> Json:
    return {**job_document(), "metadata": {"name": name}}


async def known(process: OperatorProcess, cluster: Cluster, count: int) -> Controller:
    for i in range(count):
        cluster.submit(named(f"digits-{i}"))
    await asyncio.sleep(10.0)
    controller = controller_of(process)
    assert len(controller) == count
    return controller


@in_virtual_time
async def test_who_does_not_answer_the_roll_is_forgotten() -> None:
    cluster = Cluster()
    async with running(cluster) as process:
        controller = await known(process, cluster, 3)
        process.api.deaf = True
        cluster.server.delete(TRAINING_JOBS, Key(NAMESPACE, "digits-1"), Propagation.BACKGROUND, "")
        calling = asyncio.create_task(roll_call.go_on(process.api, (NAMESPACE,), controller))
        await asyncio.sleep(roll_call.SECONDS - 1.0)
        assert len(controller) == 3
        await asyncio.sleep(2.0)
        assert {key.name for key in controller.uids()} == {"digits-0", "digits-2"}
        calling.cancel()


@in_virtual_time
async def test_who_comes_while_the_roll_is_called_stays() -> None:
    cluster = Cluster()
    async with running(cluster) as process:
        controller = await known(process, cluster, 1)
        api = FakeApi(cluster.server)
        api.seconds_after = 5.0
        calling = asyncio.create_task(roll_call.call(api, (), controller))
        await asyncio.sleep(1.0)
        cluster.submit(named("late"))
        await calling
        assert {key.name for key in controller.uids()} == {"digits-0", "late"}


@in_virtual_time
async def test_a_roll_without_an_answer_forgets_nobody() -> None:
    cluster = Cluster()
    async with running(cluster) as process:
        controller = await known(process, cluster, 2)
        api = FakeApi(cluster.server)
        api.unreachable = True
        with pytest.raises(UnavailableError):
            await roll_call.call(api, (), controller)
        assert len(controller) == 2
