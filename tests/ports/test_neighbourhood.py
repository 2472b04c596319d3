"""One suite for `ports.Neighbourhood`: the one in memory, and islands at a real hub."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch
from hub_process import HubProcess

from atoll_api.names import Ref, snapshot_ref
from atoll_worker.errors import RejectedError
from atoll_worker.exchange.access import Circle
from atoll_worker.exchange.client import ExchangeClient
from atoll_worker.exchange.connection import Patience
from atoll_worker.exchange.guard import Guard
from atoll_worker.exchange.manifest import ABSENCE
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryCircle
from atoll_worker.exchange.offering import Offering
from atoll_worker.exchange.onlooking import Onlooking
from atoll_worker.ports import Artifact, Neighbourhood, Onlooker

PATIENCE = Patience(60.0, 60.0)
PAIR = ((1,), (0,))
WAIT = 30.0


class Pair:
    """Two islands that read each other, and the process that merges."""

    zero: Neighbourhood
    one: Neighbourhood
    merge: Onlooker


def in_memory(stack: ExitStack) -> Pair:
    circle, pair = MemoryCircle(MemoryArtifacts()), Pair()
    with circle.working() as around:  # one thread plays all of them
        pair.zero = pair.one = pair.merge = around
    stack.callback(lambda: None)
    return pair


def at_a_hub(stack: ExitStack, hub: HubProcess) -> Pair:
    household, pair = hub.household, Pair()
    guard = Guard(household.job_uid, Circle.of(PAIR))

    def client(role: str, island: int = 0) -> ExchangeClient:
        credentials = household.credentials(role, island)
        return stack.enter_context(ExchangeClient(hub.address, credentials, PATIENCE))

    def island(number: int) -> Offering:
        credentials = household.credentials("island", number)
        offering = Offering(client("island", number), credentials, guard, prefixes=["islands/"])
        return stack.enter_context(offering)

    pair.zero, pair.one = island(0), island(1)
    pair.merge = stack.enter_context(Onlooking(client("merge"), ["islands/"]))
    return pair


@pytest.fixture(params=["memory", "hub"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield in_memory(stack)
            return
        hub = HubProcess(tmp_path_factory.mktemp("hub"), neighbours=PAIR)
        hub.start()
        stack.callback(hub.kill)
        yield at_a_hub(stack, hub)


def snapshot(value: float) -> Artifact:
    return Artifact({"w": torch.full((1000,), value)}, {"value": value})


def test_what_one_offers_the_other_and_the_merge_read(pair: Pair) -> None:
    ref = snapshot_ref(0, 0)
    binding = pair.zero.offer(ref, snapshot(1.0))
    for reader in (pair.one, pair.merge):
        assert reader.wait([ref], WAIT) == {ref: binding.digest}
        found = reader.fetch(ref, WAIT)
        assert torch.equal(found.tensors["w"], snapshot(1.0).tensors["w"])
        assert found.metadata == {"value": 1.0}


def test_the_first_binding_stands(pair: Pair) -> None:
    ref = snapshot_ref(0, 1)
    first = pair.zero.offer(ref, snapshot(1.0))
    assert pair.zero.offer(ref, snapshot(2.0)).digest == first.digest
    assert pair.zero.offer(ref, snapshot(1.0)).digest == first.digest
    assert pair.one.excuse(ref).digest == first.digest


def test_what_is_excused_is_bound_to_nothing_for_all(pair: Pair) -> None:
    ref = snapshot_ref(0, 2)
    assert pair.one.excuse(ref).digest == ABSENCE.digest
    assert pair.zero.offer(ref, snapshot(1.0)).digest == ABSENCE.digest
    assert pair.merge.wait([ref], WAIT) == {ref: ABSENCE.digest}


def test_what_is_withdrawn_can_no_longer_be_had(pair: Pair) -> None:
    ref = snapshot_ref(0, 3)
    pair.zero.offer(ref, snapshot(1.0))
    pair.zero.withdraw([ref])
    with pytest.raises(RejectedError, match="nothing is bound"):
        pair.one.fetch(ref, 1.0)


def test_waiting_ends_with_what_is_there(pair: Pair) -> None:
    here, missing = snapshot_ref(1, 0), snapshot_ref(1, 1)
    binding = pair.one.offer(here, snapshot(3.0))
    pair.zero.wait([here], WAIT)
    assert pair.zero.wait([here, missing], 0.05) == {here: binding.digest}
    assert pair.zero.wait([Ref("islands/1/rounds/9")], 0) == {}
