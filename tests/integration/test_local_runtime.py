"""`local.run` with real processes: what kills, what stops and what is refused."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from builders import job
from stub_world import PROMPT, StubWorld

from atoll_api.spec import TrainingJob
from atoll_api.status import TrainingJobStatus
from atoll_operator.errors import FolderInUseError, OtherJobError, PortInUseError
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.run import run
from atoll_operator.plan.model import Complete, Failed, Outcome, Stopped

WORKERS = ("partition", "island-0", "island-1", "router", "evaluate")
DIVIDED = ("assignment/0", "assignment/1", "assignment")
BOUND = (*DIVIDED, "experts/0", "experts/1", "router", "report")
"""All that a job of two islands binds."""


@pytest.fixture
def stubs(tmp_path: Path) -> StubWorld:
    return StubWorld(tmp_path / "world")


class Runner:
    """One run in a task, its statuses and its events."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.stop = asyncio.Event()
        self.statuses: list[TrainingJobStatus] = []
        self.events: list[str] = []

    async def run(self, wanted: TrainingJob, options: LocalOptions) -> Outcome:
        going = run(wanted, self.out, options, self.statuses.append, self.stop, self.events.append)
        return await asyncio.wait_for(going, 60)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "out")


async def until(holds: Callable[[], bool]) -> None:
    async def look() -> None:
        while not holds():  # noqa: ASYNC110 - other processes set no event here
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), 60)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_job_ends_complete_and_a_rerun_starts_nothing(
    stubs: StubWorld, runner: Runner
) -> None:
    headline = [{"name": "frechet_distance", "model": "ensemble/Full", "value": "0.379"}]
    runner.out.mkdir()
    (runner.out / "report.json").write_text(json.dumps({"metrics": headline}))
    (runner.out / "report.html").write_text("<html>")

    assert isinstance(await runner.run(job(2), stubs.options()), Complete)

    told = TrainingJobStatus.model_validate_json((runner.out / "status.json").read_text())
    assert told == runner.statuses[-1]
    assert (told.state, told.islands_ready, told.progress.percent) == ("Complete", "2/2", 100)
    assert told.evaluation.metrics[0].value == "0.379"
    assert {a.name for a in told.artifacts} >= {"experts/0", "experts/1", "router", "report"}
    assert "island-1: done" in runner.events
    assert not any(alive(pid) for step in ("hub", *WORKERS) for pid in stubs.attempts(step))

    refs = runner.out / "hub" / "refs"  # as the real hub would have written them
    refs.mkdir()
    for number, artifact in enumerate(told.artifacts):
        (refs / f"{number}.json").write_text(json.dumps({"ref": artifact.name}))
    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    assert [len(stubs.attempts(step)) for step in ("hub", *WORKERS)] == [1] * 6


async def test_what_is_bound_already_is_not_made_again(stubs: StubWorld, runner: Runner) -> None:
    for ref in BOUND:
        stubs.bind(ref)

    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    assert len(stubs.attempts("hub")) == 1
    assert not any(stubs.attempts(step) for step in WORKERS)


async def test_a_report_is_made_anew_that_was_removed_before_its_run_was_complete(
    stubs: StubWorld, runner: Runner
) -> None:
    for ref in BOUND:
        stubs.bind(ref)
    runner.out.mkdir()
    evaluating = TrainingJobStatus(state="Evaluating")
    (runner.out / "status.json").write_text(json.dumps(evaluating.to_document()))

    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    assert len(stubs.attempts("evaluate")) == 1


async def test_one_place_is_enough(stubs: StubWorld, runner: Runner) -> None:
    stubs.script("island-0", "killed", "bind")

    assert isinstance(await runner.run(job(2), stubs.options(parallel=1)), Complete)


async def test_a_killed_island_is_started_again(stubs: StubWorld, runner: Runner) -> None:
    stubs.script("island-1", "sleep", "bind")
    going = asyncio.ensure_future(runner.run(job(2), stubs.options()))
    await until(lambda: len(stubs.attempts("island-1")) == 1)
    os.kill(stubs.attempts("island-1")[0], signal.SIGKILL)

    assert isinstance(await going, Complete)
    assert len(stubs.attempts("island-1")) == 2
    assert "island-1: restart 1" in runner.events
    assert {island.restarts for island in runner.statuses[-1].islands} == {0, 1}


async def test_a_killed_hub_is_started_again_on_its_port(stubs: StubWorld, runner: Runner) -> None:
    stubs.script("island-1", "sleep")
    going = asyncio.ensure_future(runner.run(job(2), stubs.options()))
    await until(lambda: len(stubs.attempts("island-1")) == 1)
    order = runner.out / "orders" / "hub.json"
    assert json.loads(order.read_text())["port"] == 0
    os.kill(stubs.attempts("hub")[0], signal.SIGKILL)
    await until(lambda: len(stubs.attempts("hub")) == 2)

    assert json.loads(order.read_text())["port"] == 4242
    runner.stop.set()
    assert await going == Stopped()


async def test_no_orphan_survives_a_killed_parent_and_the_job_can_go_on(
    stubs: StubWorld, runner: Runner
) -> None:
    stubs.script("island-0", "sleep", "bind")
    stubs.script("island-1", "deaf sleep", "bind")
    script = Path(__file__).parents[1] / "support" / "run_stub_job.py"
    command = [sys.executable, str(script), str(stubs.folder), str(runner.out)]
    with Popen(command, stdout=PIPE) as parent:  # noqa: ASYNC220 - it returns at once
        await until(lambda: bool(stubs.attempts("island-0") and stubs.attempts("island-1")))
        parent.kill()
        parent.wait()
    orphans = [pid for step in ("hub", *WORKERS) for pid in stubs.attempts(step)]

    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    assert not any(alive(pid) for pid in orphans)
    assert len(stubs.attempts("partition")) == 1
    assert len(stubs.attempts("island-0")) == 2


async def test_stop_lets_children_save_and_a_rerun_resumes(
    stubs: StubWorld, runner: Runner
) -> None:
    stubs.script("island-0", "sleep", "bind")
    going = asyncio.ensure_future(runner.run(job(2), stubs.options()))
    await until(lambda: len(stubs.attempts("island-0")) == 1)
    runner.stop.set()

    assert await going == Stopped()
    assert runner.statuses[-1].state == "Suspended"
    assert not any(alive(pid) for step in ("hub", *WORKERS) for pid in stubs.attempts(step))

    runner.stop.clear()
    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    assert len(stubs.attempts("island-0")) == 2


@pytest.mark.parametrize("hub_says", ["all", "nothing"])
async def test_a_child_that_finishes_as_it_is_told_to_stop_does_not_fail_the_job(
    stubs: StubWorld, runner: Runner, hub_says: str
) -> None:
    stubs.script("router", "late bind", "sleep")
    options = stubs.options(replace(PROMPT, poll_seconds=60.0))
    going = asyncio.ensure_future(runner.run(job(2), options))
    log = runner.out / "logs" / "router.log"
    await until(lambda: log.exists() and "waits" in log.read_text())
    stubs.silent = hub_says == "nothing"
    runner.stop.set()

    assert await going == Stopped()

    runner.stop.clear()
    stubs.silent = False
    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    assert len(stubs.attempts("router")) == 1


async def test_a_child_that_does_not_listen_is_killed_after_the_grace_time(
    stubs: StubWorld, runner: Runner
) -> None:
    stubs.script("partition", "deaf say:ready sleep")
    options = stubs.options(replace(PROMPT, stop_grace_seconds=0.2))
    going = asyncio.ensure_future(runner.run(job(2), options))
    log = runner.out / "logs" / "partition.log"
    await until(lambda: log.exists() and "ready" in log.read_text())
    runner.stop.set()

    assert await going == Stopped()
    assert not alive(stubs.attempts("partition")[0])


async def test_two_runs_in_one_folder_are_refused(stubs: StubWorld, runner: Runner) -> None:
    stubs.script("partition", "sleep")
    going = asyncio.ensure_future(runner.run(job(2), stubs.options()))
    await until(lambda: len(stubs.attempts("partition")) == 1)

    with pytest.raises(FolderInUseError, match=f"process {os.getpid()}.*another --out"):
        await Runner(runner.out).run(job(2), stubs.options())
    assert not going.done()
    runner.stop.set()
    assert await going == Stopped()


async def test_a_folder_belongs_to_one_job(stubs: StubWorld, runner: Runner) -> None:
    assert isinstance(await runner.run(job(2, quorum=2), stubs.options()), Complete)

    with pytest.raises(OtherJobError, match=r"spec\.seed is 0 there and 1 here"):
        await runner.run(job(2, seed=1), stubs.options())
    deadline = {"activeDeadlineSeconds": 60}
    lower = job(2, quorum=1, runPolicy=deadline)
    assert isinstance(await runner.run(lower, stubs.options()), Complete)
    with pytest.raises(OtherJobError, match="may only go down"):
        await runner.run(job(2, quorum=2), stubs.options())


async def test_a_port_that_is_taken_is_refused(stubs: StubWorld, runner: Runner) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} "):
            await runner.run(job(2), replace(stubs.options(), hub_port=port))
    assert not stubs.attempts("hub")


async def test_a_final_error_fails_the_job_with_the_childs_line_and_a_rerun_tries_again(
    stubs: StubWorld, runner: Runner
) -> None:
    stubs.script("partition", "say:atoll:_partition:_no_images_in_/data exit:65", "bind")

    failed = await runner.run(job(2), stubs.options())
    expected = "partition failed with exit code 65: no images in /data"
    assert failed == Failed("PartitionFailed", expected)
    assert len(stubs.attempts("partition")) == 1
    assert runner.statuses[-1].state == "Failed"

    assert isinstance(await runner.run(job(2), stubs.options()), Complete)
    last = {c.type: c for c in runner.statuses[-1].conditions}
    assert (last["Failed"].status, last["Complete"].status) == ("False", "True")


async def test_a_lost_island_degrades_the_job_while_the_quorum_holds(
    stubs: StubWorld, runner: Runner
) -> None:
    stubs.script("island-1", "say:the_loss_is_NaN exit:65")

    assert isinstance(await runner.run(job(2, quorum=1), stubs.options()), Complete)
    degraded = next(c for c in runner.statuses[-1].conditions if c.type == "Degraded")
    assert degraded.status == "True"
    assert "island-1 failed with exit code 65: the loss is NaN" in degraded.message


async def test_a_spent_budget_loses_the_quorum(stubs: StubWorld, runner: Runner) -> None:
    stubs.script("island-0", "killed")
    stubs.script("router", "sleep")

    failed = await runner.run(job(2, max_restarts=2), stubs.options())
    assert isinstance(failed, Failed)
    assert failed.reason == "QuorumLost"
    assert "island-0 failed with exit code 137 (SIGKILL) after 2 restarts" in failed.message
    assert len(stubs.attempts("island-0")) == 3
    assert not alive(stubs.attempts("router")[0])


async def test_a_hub_that_is_never_ready_fails_the_job(stubs: StubWorld, runner: Runner) -> None:
    stubs.script("hub", "say:too_slow sleep")
    timing = replace(PROMPT, hub_ready_seconds=0.5, hub_max_restarts=1)

    failed = await runner.run(job(2), stubs.options(timing))
    assert failed == Failed("HubLost", "the hub failed with exit code 137 (SIGKILL): too slow")
    assert len(stubs.attempts("hub")) == 2
