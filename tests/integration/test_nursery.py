"""Workers that a nursery makes are processes as any: environment, log, session, end; and its loss."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from atoll_runs import Run, children_of, digests, environment, run_to_end, write_job

from atoll_api.exit_codes import ExitCode
from atoll_api.names import ENV_LIFELINE
from atoll_operator.local.nursery import Forked, Nursery, possible
from atoll_operator.local.options import LocalOptions
from atoll_operator.local.processes import Wish

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not possible(LocalOptions().worker_command),
        reason="workers are processes of their own here: no Linux, or a GPU",
    ),
]
BOUND_SECONDS = 60.0


@asynccontextmanager
async def open_nursery() -> AsyncIterator[Nursery]:
    nursery = Nursery()
    try:
        yield nursery
    finally:
        await nursery.close()


def usual() -> dict[str, str]:
    """With a lifeline: a worker ends with the tests, however those end."""
    return environment() | {ENV_LIFELINE: "1"}


async def born(
    nursery: Nursery, folder: Path, *arguments: str, other: Mapping[str, str] = {}
) -> Forked | None:
    with (folder / "log").open("ab") as log, (folder / "lock").open("wb") as lock:
        wish = Wish(
            LocalOptions().worker_command,
            arguments,
            usual() | dict(other),
            log.fileno(),
            lock.fileno(),
        )
        return await nursery.spawn(wish)


def waiting_worker(folder: Path) -> tuple[str, ...]:
    """One that waits for its order, which is a pipe nobody writes to."""
    os.mkfifo(folder / "order.json")
    return (str(folder / "order.json"),)


async def test_it_ends_as_a_worker_does_and_says_why(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        worker = await born(nursery, tmp_path, str(tmp_path / "none.json"))
        assert worker is not None
        assert await worker.wait() == ExitCode.FINAL
    said = (tmp_path / "log").read_text()
    assert said.splitlines()[-1].startswith("atoll: worker: the work order")


async def test_it_has_its_own_session_title_and_environment(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        first = await born(nursery, tmp_path, str(tmp_path / "none.json"))
        assert first is not None
        await first.wait()
        wanted = {"OTEL_ATOLL": "told"}
        worker = await born(nursery, tmp_path, *waiting_worker(tmp_path), other=wanted)
        assert worker is not None
        try:
            assert os.getsid(worker.pid) == worker.pid
            shown, held = looks(worker.pid)
            assert str(tmp_path / "order.json") in shown
            assert {tmp_path / "log", tmp_path / "lock"} <= held
        finally:
            worker.kill()
        assert await worker.wait() == -signal.SIGKILL
        worker.terminate()  # no harm, nor to another that may have its number by now


async def test_who_asks_everybody_to_end_means_the_workers(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        worker = await born(nursery, tmp_path, *waiting_worker(tmp_path))
        assert worker is not None
        os.kill(parent_of(worker.pid), signal.SIGTERM)
        worker.terminate()
        assert await worker.wait() == -signal.SIGTERM


async def test_a_worker_that_cannot_be_made_costs_nobody_else(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        worker = await born(nursery, tmp_path, *waiting_worker(tmp_path))
        assert worker is not None
        maker = parent_of(worker.pid)
        most = max(int(it) for it in os.listdir(f"/proc/{maker}/fd"))  # noqa: PTH208 - names alone
        _, hard = resource.prlimit(maker, resource.RLIMIT_NOFILE)
        # Room for the three that come with the request, and for no other.
        resource.prlimit(maker, resource.RLIMIT_NOFILE, (most + 4, hard))
        held = looks(maker)[1]
        assert await born(nursery, tmp_path, "any.json") is None
        assert looks(maker)[1] == held, "it holds neither log nor lock of whom it could not make"
        assert worker.returncode is None
        worker.kill()
        assert await worker.wait() == -signal.SIGKILL


async def test_another_environment_needs_a_process_of_its_own(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        await nursery.warm(usual())
        other = {"OMP_NUM_THREADS": "7"}
        assert await born(nursery, tmp_path, "any.json", other=other) is None


async def test_a_nursery_that_is_killed_takes_nobody_along(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        worker = await born(nursery, tmp_path, *waiting_worker(tmp_path))
        assert worker is not None
        os.kill(parent_of(worker.pid), signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert worker.returncode is None
        worker.kill()
        assert await worker.wait() == -signal.SIGKILL
        again = await born(nursery, tmp_path, str(tmp_path / "none.json"))
        assert again is not None, "another one takes its place"
        assert await again.wait() == ExitCode.FINAL


async def test_a_worker_ends_with_whoever_asked_for_it(tmp_path: Path) -> None:
    async with open_nursery() as nursery:
        worker = await born(nursery, tmp_path, *waiting_worker(tmp_path))
        assert worker is not None
        os.close(worker.lifeline)  # as the kernel does when a run is killed
        worker.lifeline = os.open(os.devnull, os.O_RDONLY)
        async with asyncio.timeout(BOUND_SECONDS):
            assert await asyncio.shield(worker.ended) == ExitCode.DISRUPTED


@pytest.mark.slow
def test_a_run_whose_nursery_is_killed_ends_as_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    spec = {"training.steps": 2000, "training.checkpoint.everySeconds": 1}
    run = Run.start(write_job(tmp_path, **spec), folder)
    run.wait_for(lambda status: any(it["state"] == "Running" for it in status.get("islands", ())))
    (nursery,) = nurseries_of(run.process.pid)
    os.kill(nursery, signal.SIGKILL)
    run.wait_for(lambda _: bool(nurseries_of(run.process.pid) - {nursery}))
    (another,) = nurseries_of(run.process.pid) - {nursery}
    code, output = run.finish()
    assert code == ExitCode.OK, output
    assert not lives(another)
    undisturbed = run_to_end(tmp_path, **spec)
    assert weights(folder) == weights(undisturbed)


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_nursery(tmp_path: Path) -> None:
    run = Run.start(write_job(tmp_path, **{"training.steps": 100_000}), tmp_path / "killed")
    run.wait_for(lambda status: any(it["state"] == "Running" for it in status.get("islands", ())))
    (nursery,) = nurseries_of(run.process.pid)
    run.process.kill()
    run.finish()
    deadline = time.monotonic() + BOUND_SECONDS
    while lives(nursery) or children_of(run.folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def weights(folder: Path) -> dict[str, str]:
    """All but the report, which tells of times and restarts."""
    return {ref: it for ref, it in digests(folder).items() if not ref.startswith("report")}


def looks(pid: int) -> tuple[str, set[Path]]:
    """What `ps` says of a process, and what it holds open."""
    place = Path(f"/proc/{pid}")
    return (place / "cmdline").read_text(), {it.readlink() for it in (place / "fd").iterdir()}


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def nurseries_of(parent: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                ours = b"atoll_worker.nursery" in (entry / "cmdline").read_bytes()
                if ours and parent_of(int(entry.name)) == parent:
                    found.add(int(entry.name))
    return found


def parent_of(pid: int) -> int:
    """The second field behind the name, which may hold anything but a closing parenthesis last."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
