"""Nothing stays behind of jobs: neither in the hub nor in the operator, counted and not timed.

Hours of it, with slopes of everything, are `benchmarks/performance/soak.py`; this is its smallest
setting, and its negative control: what leaks a descriptor a job is found.
"""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from kube_api_server import find_binaries
from own_api_server import api_server
from planted_leaks import VARIABLE
from process_samples import Sample, connections, sample
from soak import free_port
from soak_hub import HubSoak, running_hub
from soak_jobs import STORIES, expected
from soak_operator import OperatorSoak, Worked, connected
from soak_trends import COUNT, MEMORY, Bound, Series, trend

WARM, JOBS = 4, 8
LEAK = "1,50000"
MOST_WRITES = 25
"""Of a job of two or three islands, Events apart: 16 to 19, and more where steps end far apart."""


def run(hub: HubSoak, number: int) -> None:
    answer = hub.job(number)
    assert (answer["bound"], answer["error"]) == (12, "")
    if number % 4 == 0:
        hub.kill_one(0)


def at_rest(hub: HubSoak) -> Sample:
    """The fewest of some looks: a connection that has ended is closed a little later."""
    looks = []
    for _ in range(50):
        hub.exposition_bytes()  # takes its turn in the hub, after what was there before
        looks.append(sample(hub.pids["hub"]))
    return min(looks, key=lambda it: it.descriptors)


@pytest.mark.slow
def test_a_hub_holds_after_jobs_what_it_held_before() -> None:
    with running_hub() as hub:
        for number in range(WARM):
            run(hub, number)
        before = at_rest(hub)
        for number in range(WARM, WARM + JOBS):
            run(hub, number)
        after = at_rest(hub)
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads + 1, "of a pool that is not full"


async def stories(soak: OperatorSoak, port: int, leak: dict[str, str]) -> tuple[list[Worked], int]:
    """Each kind of job twice; by how many descriptors the operator has more after the second time.

    Without connections to the API server: how many it keeps is how many requests there were at once.
    """
    held = []
    async with soak.running(free_port(), leak):
        for _ in range(2):
            await asyncio.gather(*(soak.next() for _ in STORIES))
            held.append(sample(soak.pid).descriptors - connections(soak.pid, port))
        worked = list(soak.settled(0.0))
        assert await soak.cluster.left() == 0
        assert await soak.forgets(), "it tells of jobs that are gone"
    return worked, held[1] - held[0]


@pytest.mark.slow
@pytest.mark.skipif(find_binaries() is None, reason="no etcd and kube-apiserver")
async def test_an_operator_holds_after_jobs_what_it_held_before(tmp_path: Path) -> None:
    with api_server(tmp_path) as found:
        async with connected(found) as api:
            soak = OperatorSoak(api, found, tmp_path, step_seconds=0.0)
            worked, more = await stories(soak, found.port, {})
            leaking = OperatorSoak(api, found, tmp_path, step_seconds=0.0)
            _, leaked = await stories(leaking, found.port, {VARIABLE: LEAK})
    assert [it.ran for it in worked if it.ran.state not in expected(it.ran.story)] == []
    assert more <= 0
    assert leaked >= len(STORIES) - 1, "a planted leak of one descriptor a job is not seen"
    for story in set(STORIES) - {"suspended"}:  # how far it is when it is stopped differs
        writes = [it.writes for it in worked if it.ran.story == story]
        assert max(writes) <= MOST_WRITES, (story, writes)


def series(values: np.ndarray, bound: Bound) -> Series:
    count = len(values)
    return Series("x", bound, np.linspace(0, 2, count), np.arange(count, dtype=float), values)


@pytest.mark.parametrize("seed", range(5))
def test_what_only_wavers_is_flat(seed: int) -> None:
    random = np.random.default_rng(seed)
    walk = 100 + random.normal(0, 3, 500)
    assert trend(series(walk, MEMORY)).flat
    assert trend(series(20 + random.integers(0, 9, 500).astype(float), COUNT)).flat


@pytest.mark.parametrize("seed", range(5))
def test_what_was_planted_is_not_flat(seed: int) -> None:
    """A descriptor and 50 kB a job, of 100 jobs, in as much noise as a quick run has."""
    random = np.random.default_rng(seed)
    jobs = np.repeat(np.arange(100), 2).astype(float)
    memory = trend(series(100 + 0.05 * jobs + random.normal(0, 0.5, 200), MEMORY))
    descriptors = trend(series(20 + jobs + random.integers(0, 9, 200), COUNT))
    assert not memory.flat
    assert not descriptors.flat
    assert 1000 * descriptors.per_job == pytest.approx(1000 * 100 / 200, rel=0.1)


def test_a_warm_up_is_no_growth() -> None:
    values = 100 - 20 * np.exp(-np.linspace(0, 40, 400))
    assert trend(series(values, MEMORY)).flat
    assert not trend(series(values, MEMORY), warm_share=0.0).growth < 0
