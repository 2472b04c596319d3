"""At most one leads, somebody soon does, and who may have lost writes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kube_objects import config_map
from virtual_time import in_virtual_time, run_in_virtual_time

from atoll_operator.errors import (
    ConflictError,
    LeaseLostError,
    NotFoundError,
    UnavailableError,
)
from atoll_operator.kubernetes.api import Key, Propagation, Selection, WatchLimits
from atoll_operator.kubernetes.fake_api import FakeApi
from atoll_operator.kubernetes.fake_server import FakeServer
from atoll_operator.kubernetes.faults import Fault, Faults, KilledError, When
from atoll_operator.kubernetes.fencing import Fenced
from atoll_operator.kubernetes.leader import Candidate, Clocks, Elector, new_identity
from atoll_operator.kubernetes.lease import LeaseTiming
from atoll_operator.kubernetes.resources import CONFIG_MAPS, LEASES

LEASE = Key("atoll", "operator")
TIMING = LeaseTiming()
FAILOVER_SECONDS = 10.0 + 2 * 2.4
"""The lease, seen late by one wait and taken late by another."""


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Replica:
    """A process that wants to lead."""

    name: str
    server: FakeServer
    faults: Faults = ()
    jump: float = 0.0
    """How far its clock has jumped."""
    troubles: list[str] = field(default_factory=list)
    lost_at: float | None = None

    def __post_init__(self) -> None:
        self.api = FakeApi(self.server, self.faults)
        self.elector = Elector(
            self.api,
            Candidate(LEASE, self.name, TIMING),
            lambda: 0.5,
            Clocks(now=self.clock),
            lambda error: self.troubles.append(type(error).__name__),
        )
        self.task = asyncio.ensure_future(self._run())

    def clock(self) -> float:
        return now() + self.jump

    @property
    def leads(self) -> bool:
        return self.elector.valid(self.clock())

    async def _run(self) -> None:
        try:
            await self.elector.run()
        except LeaseLostError:
            self.lost_at = now()

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def stop(self) -> None:
        await self.kill()
        await self.elector.release()


@asynccontextmanager
async def replicas(*names: str) -> AsyncIterator[list[Replica]]:
    """They begin one after the other."""
    server, made = FakeServer(now=now), []
    for name in names:
        made.append(Replica(name, server))
        await asyncio.sleep(0.5)
    yield made
    for replica in made:
        await replica.kill()


def holder(server: FakeServer) -> str:
    return str(server.get(LEASES, LEASE)["spec"]["holderIdentity"])


@in_virtual_time
async def test_the_first_leads_as_long_as_it_lives() -> None:
    async with replicas("one", "two") as (one, two):
        assert one.leads
        await asyncio.sleep(1000)
        assert one.leads
        assert not two.leads
        assert not two.elector.leading.is_set()
        assert one.server.get(LEASES, LEASE)["spec"]["leaseTransitions"] == 0


@in_virtual_time
async def test_another_follows_a_leader_that_was_killed_but_not_too_soon() -> None:
    async with replicas("one", "two") as (one, two):
        await asyncio.sleep(100)
        await one.kill()
        killed_at = now()
        await two.elector.leading.wait()
        last_renewal = killed_at - TIMING.retry_seconds
        assert last_renewal + TIMING.duration_seconds <= now() <= killed_at + FAILOVER_SECONDS
        assert two.server.get(LEASES, LEASE)["spec"]["leaseTransitions"] == 1


@in_virtual_time
async def test_a_clean_stop_hands_over_at_once() -> None:
    async with replicas("one", "two") as (one, two):
        await asyncio.sleep(100)
        await one.stop()
        assert not one.leads
        stopped_at = now()
        await two.elector.leading.wait()
        assert now() - stopped_at <= 2.4
        await one.elector.release()  # again, and it is another's by now
        assert holder(two.server) == "two"


@in_virtual_time
async def test_who_was_stopped_in_the_middle_of_a_renewal_hands_over_too() -> None:
    async with replicas("one", "two") as (one, two):
        await asyncio.sleep(10.1)
        one.api.seconds_after = 1.0  # the answer is still on its way
        await asyncio.sleep(1.5)
        assert holder(one.server) == "one"
        stopped_at = now()
        await one.stop()
        await two.elector.leading.wait()
        assert now() - stopped_at <= 5


@in_virtual_time
async def test_a_leader_without_a_server_gives_up_before_another_may_lead() -> None:
    async with replicas("one", "two") as (one, two):
        await asyncio.sleep(100)
        one.api.unreachable = True
        cut_at = now()
        await two.elector.leading.wait()
        assert one.lost_at is not None
        assert one.lost_at - cut_at <= TIMING.renew_deadline_seconds + TIMING.retry_seconds
        assert one.lost_at < now()
        assert set(one.troubles) == {"UnavailableError"}
        with pytest.raises(LeaseLostError, match="writes nothing"):
            await Fenced(one.api, one.elector.seconds_left).delete(CONFIG_MAPS, LEASE)


@in_virtual_time
async def test_a_short_outage_is_survived() -> None:
    async with replicas("one", "two") as (one, two):
        await asyncio.sleep(100)
        one.api.unreachable = two.api.unreachable = True
        await asyncio.sleep(4)
        one.api.unreachable = two.api.unreachable = False
        await asyncio.sleep(100)
        assert one.leads
        assert one.lost_at is None


@in_virtual_time
async def test_a_renewal_that_hangs_is_tried_again_in_time() -> None:
    async with replicas("one", "two") as (one, _):
        await asyncio.sleep(100)
        one.api.seconds_before = 60  # the renewal at 102 hangs; the last one was at 100
        await asyncio.sleep(3)
        one.api.seconds_before = 2.4
        await asyncio.sleep(3.2)
        assert now() == pytest.approx(107.2)
        assert one.leads
        assert one.troubles == ["UnavailableError"]


@in_virtual_time
async def test_a_renewal_whose_answer_was_lost_is_our_own() -> None:
    async with replicas("one", "two") as (one, _):
        await asyncio.sleep(100)
        one.api.seconds_after = 60
        await asyncio.sleep(3)
        one.api.seconds_after = 0
        await asyncio.sleep(100)
        assert one.leads


@in_virtual_time
async def test_an_answer_that_comes_late_counts_from_when_it_was_asked_for() -> None:
    async with replicas("one") as (one,):
        one.api.seconds_after = 2.0
        await asyncio.sleep(100)
        assert one.leads
        asked_at = one.elector.seconds_left() - TIMING.duration_seconds + now()
        assert now() - asked_at >= 2.0
        assert one.lost_at is None


@in_virtual_time
async def test_a_machine_that_slept_leads_no_more_when_it_wakes() -> None:
    async with replicas("one", "two") as (one, _):
        await asyncio.sleep(100)
        one.jump = 3600.0  # its own clock counts the sleep; nothing of it ran
        assert not one.leads
        assert one.elector.seconds_left() == 0
        await asyncio.sleep(2)
        assert one.lost_at is not None


@in_virtual_time
async def test_who_slept_while_waiting_waits_its_time_again_if_the_leader_lives() -> None:
    async with replicas("one", "two") as (one, two):
        await asyncio.sleep(100)
        two.jump = 9.0
        await asyncio.sleep(100)
        assert one.leads
        assert not two.leads


@in_virtual_time
async def test_a_lease_in_other_hands_is_lost_at_once() -> None:
    async with replicas("one") as (one,):
        one.server.merge_patch(LEASES, LEASE, {"spec": {"holderIdentity": "somebody"}}, "")
        await asyncio.sleep(3)
        assert one.lost_at is not None
        assert holder(one.server) == "somebody"


@pytest.mark.parametrize("field", [None, ""])
@in_virtual_time
async def test_a_lease_that_was_taken_away_is_lost_at_once(field: str | None) -> None:
    async with replicas("one") as (one,):
        if field is None:
            one.server.delete(LEASES, LEASE, Propagation.BACKGROUND, "")
        else:
            one.server.merge_patch(LEASES, LEASE, {"spec": {"holderIdentity": field}}, "")
        await asyncio.sleep(3)
        assert one.lost_at is not None


@in_virtual_time
async def test_an_annotation_costs_nobody_the_lease() -> None:
    async with replicas("one") as (one,):
        patch = {"metadata": {"annotations": {"a": "b"}}}
        one.server.merge_patch(LEASES, LEASE, patch, "")
        await asyncio.sleep(3)
        assert one.leads
        assert one.server.get(LEASES, LEASE)["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("at", range(4))
@in_virtual_time
async def test_a_candidate_that_dies_at_any_request_is_followed(at: int, when: When) -> None:
    server = FakeServer(now=now)
    one = Replica("one", server, (Fault(at, KilledError(), when),))
    two = Replica("two", server)
    await two.elector.leading.wait()
    assert isinstance(one.task.exception(), KilledError)
    assert now() <= 2 * at + FAILOVER_SECONDS
    await two.kill()


@pytest.mark.parametrize("at", range(3))
@in_virtual_time
async def test_a_candidate_survives_errors_on_its_way(at: int) -> None:
    server = FakeServer(now=now)
    faults = tuple(Fault(at, ConflictError("late"), when) for when in When)
    one = Replica("one", server, faults)
    await asyncio.sleep(30)
    assert one.leads
    await one.kill()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["cut", "slow", "lost", "mend", "kill", "stop"]),
            st.sampled_from([0.3, 1.0, 5.0, 20.0]),
        ),
        max_size=12,
    )
)
def test_never_two_lead_and_in_the_end_one_does(story: list[tuple[int, str, float]]) -> None:
    async def play() -> None:
        async with replicas("zero", "one", "two") as three:
            watchdog = asyncio.ensure_future(_never_two(three))
            for number, what, seconds in story:
                await _happen(three[number], what)
                await asyncio.sleep(seconds)
            for replica in three:
                await _happen(replica, "mend")
            await asyncio.sleep(FAILOVER_SECONDS + 10)
            alive = [replica for replica in three if not replica.task.done()]
            assert sum(replica.leads for replica in alive) == min(1, len(alive))
            watchdog.cancel()
            await asyncio.gather(watchdog, return_exceptions=True)

    run_in_virtual_time(play())


async def _never_two(three: list[Replica]) -> None:
    while True:
        assert sum(replica.leads for replica in three) <= 1
        await asyncio.sleep(0.05)


async def _happen(replica: Replica, what: str) -> None:
    match what:
        case "cut":
            replica.api.unreachable = True
        case "slow":
            replica.api.seconds_before = 2.5
        case "lost":
            replica.api.seconds_after = 30.0
        case "mend":
            replica.api.unreachable = False
            replica.api.seconds_before = replica.api.seconds_after = 0.0
        case "kill":
            await replica.kill()
            replica.elector.leading.clear()
        case "stop":
            await replica.stop()


@in_virtual_time
async def test_only_who_leads_writes_and_everybody_reads() -> None:
    async with replicas("one", "two") as (one, two):
        body = config_map("atoll", "map")
        leader, follower = (Fenced(it.api, it.elector.seconds_left) for it in (one, two))
        await leader.create(CONFIG_MAPS, body)
        key = Key("atoll", "map")
        with pytest.raises(LeaseLostError):
            await follower.merge_patch(CONFIG_MAPS, key, {"data": {"a": "1"}})
        with pytest.raises(LeaseLostError):
            await follower.apply(CONFIG_MAPS, body)
        with pytest.raises(LeaseLostError):
            await follower.replace(CONFIG_MAPS, body)
        found = await follower.get(CONFIG_MAPS, key)
        assert (await follower.list_page(Selection(CONFIG_MAPS))).items == [found]
        limits = WatchLimits(server_seconds=1)
        assert [it async for it in follower.watch(Selection(CONFIG_MAPS), "1", limits)]
        await leader.apply(CONFIG_MAPS, body)
        await leader.replace(CONFIG_MAPS, await leader.get(CONFIG_MAPS, key))
        await leader.merge_patch(CONFIG_MAPS, key, {"data": {"a": "1"}})
        await leader.delete(CONFIG_MAPS, key)
        with pytest.raises(NotFoundError):
            await follower.get(CONFIG_MAPS, key)


@in_virtual_time
async def test_a_write_is_given_up_when_another_may_lead() -> None:
    async with replicas("one") as (one,):
        await asyncio.sleep(10)
        slow = FakeApi(one.server)
        slow.seconds_before = 60
        began = now()
        with pytest.raises(UnavailableError):
            await Fenced(slow, one.elector.seconds_left).delete(CONFIG_MAPS, LEASE)
        assert now() - began <= TIMING.duration_seconds


def test_an_identity_is_of_one_process() -> None:
    assert new_identity("pod").startswith("pod_")
    assert new_identity("pod") != new_identity("pod")
