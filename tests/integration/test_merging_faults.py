"""Islands that exchange weights, killed where a moment alone decides: the same bits at the end.

Kills at moments that can be drawn are in `tests/faults`.
"""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import held_tasks
import pytest
from atoll_runs import Run, digests, run_to_end, write_job
from held_tasks import MARK, HeldClassifier, Hold

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROUND = 600


def ring(folder: Path, **spec: Any) -> dict[str, Any]:
    """Three islands in a ring, four rounds of BatchNorm classifiers."""
    return {
        "task": held_tasks.spec(HeldClassifier, folder),
        "islands.count": 3,
        "training": {"steps": 4 * ROUND, "batchSizePerIsland": 16},
        "strategy": {"type": "IterativeMerge", "iterativeMerge": {"stepsPerRound": ROUND}},
        "evaluation": {},
        **spec,
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run binds that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return digests(run_to_end(folder, **ring(folder)))


def waiting(island: int, other: int) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an island waits for another's weights."""

    def reached(status: Mapping[str, Any]) -> bool:
        said = f"waits for island {other} in round"
        found = status.get("islands", [])
        return any(it["island"] == island and said in it["message"] for it in found)

    return reached


@dataclass(frozen=True)
class Fault:
    """What happens to a run when one island has done so many steps, and is held there."""

    happen: Callable[[Run, Hold], None]
    island: int
    at: int

    def strike(self, job: Path) -> Run:
        """A run that has had its fault."""
        hold = Hold(job.parent, f"island-{self.island}", self.at)
        run = Run.start(job, job.parent / "out")
        run.wait_for(hold.reached)
        self.happen(run, hold)
        return run


def killed(run: Run, hold: Hold) -> None:
    hold.release()
    run.kill_child("island-1")


def while_serving(run: Run, hold: Hold) -> None:
    """It has bound its weights and served nobody yet: its neighbour still trains."""
    run.tell_child("island-2", signal.SIGSTOP)
    hold.release()
    run.wait_for(waiting(1, 2))
    run.kill_child("island-1")
    run.tell_child("island-2", signal.SIGCONT)


def while_pulling(run: Run, hold: Hold) -> None:
    """Its neighbour has bound its weights, and answers no more."""
    run.wait_for(waiting(2, 0))
    run.tell_child("island-2", signal.SIGSTOP)
    hold.release()
    run.wait_for(waiting(1, 2))
    run.kill_child("island-1")
    run.tell_child("island-2", signal.SIGCONT)


def while_merging(run: Run, hold: Hold) -> None:
    mark = run.folder.parent / MARK
    mark.write_text("island-1")
    hold.release()
    run.wait_for(lambda _: not mark.exists())


def two_at_once(run: Run, hold: Hold) -> None:
    hold.release()
    run.kill_child("island-1")
    run.kill_child("island-2")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(while_serving, 2, ROUND + 100), id="serving"),
        pytest.param(Fault(while_pulling, 0, ROUND + 100), id="pulling"),
        pytest.param(Fault(while_merging, 1, 100), id="merging"),
        pytest.param(Fault(two_at_once, 1, 2 * ROUND + 100), id="two"),
    ],
)
def test_a_kill_in_any_phase_changes_no_digest(
    fault: Fault, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    run = fault.strike(write_job(tmp_path, **ring(tmp_path)))
    code, output = run.finish()
    assert code == ExitCode.OK, output
    assert "without" not in output
    assert digests(run.folder) == undisturbed


def test_every_round_is_committed_exactly_once(undisturbed: dict[str, str]) -> None:
    records = sorted(ref for ref in undisturbed if "/merges/" in ref)
    assert records == [f"islands/{i}/merges/{r}" for i in range(3) for r in range(4)]
    assert not [ref for ref in undisturbed if "/rounds/" in ref], "snapshots are withdrawn"


def stopped(run: Run, hold: Hold) -> None:
    run.signal(signal.SIGINT)
    hold.release()
    run.finish()


def test_a_stopped_run_goes_on_with_the_rounds_it_has_not_done(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    job = write_job(tmp_path, **ring(tmp_path))
    Fault(stopped, 1, ROUND + 100).strike(job)
    again = Run.start(job, tmp_path / "out")
    code, output = again.finish()
    assert code == ExitCode.OK, output
    assert digests(again.folder) == undisturbed


def test_an_island_that_is_lost_is_not_waited_for(tmp_path: Path) -> None:
    spec = ring(tmp_path, islands={"count": 3, "quorum": 2, "maxRestarts": 0})
    run = Fault(killed, 1, ROUND + 100).strike(write_job(tmp_path, **spec))
    code, output = run.finish()
    assert code == ExitCode.OK, output
    assert "without island 1: it did not come in time" in output
    bound = digests(run.folder)
    assert "islands/1/lost" in bound
    assert {"islands/0/merges/3", "islands/2/merges/3", "merged"} < bound.keys()


def late(run: Run, hold: Hold) -> None:
    run.tell_child("island-1", signal.SIGSTOP)
    hold.release()
    run.wait_for(lambda status: "without island 1" in str(status))
    run.tell_child("island-1", signal.SIGCONT)


def test_an_island_that_is_late_merges_with_nobody_and_comes_back(tmp_path: Path) -> None:
    strategy = {"stepsPerRound": ROUND, "roundDeadlineSeconds": 1.0}
    spec = ring(tmp_path, strategy={"type": "IterativeMerge", "iterativeMerge": strategy})
    run = Fault(late, 1, ROUND + 100).strike(write_job(tmp_path, **spec))
    code, output = run.finish()
    assert code == ExitCode.OK, output
    assert {f"islands/1/merges/{r}" for r in range(4)} < digests(run.folder).keys()


GOSSIP = {
    "type": "SingleMerge",
    "singleMerge": {
        "gossip": {"peersPerRound": 0.7, "stepsPerRound": ROUND // 2},
        "evaluations": 0,  # the merge waits for nothing but the last weights
    },
}


def classifier(folder: Path, strategy: dict[str, Any]) -> dict[str, Any]:
    """Three islands with BatchNorm and two rounds' worth of steps."""
    return {
        "task": held_tasks.spec(HeldClassifier, folder),
        "islands.count": 3,
        "training": {"steps": 2 * ROUND, "batchSizePerIsland": 16},
        "strategy": strategy,
        "evaluation": {},
    }


def before_the_statistics(run: Run, hold: Hold) -> None:
    """Its last weights are bound, and the mean of all is not."""
    run.tell_child("merge", signal.SIGSTOP)
    hold.release()
    run.wait_for(lambda status: "waits for the mean" in message_of(status, 1))
    run.kill_child("island-1")
    run.tell_child("merge", signal.SIGCONT)


def message_of(status: Mapping[str, Any], island: int) -> str:
    said = [it["message"] for it in status.get("islands", []) if it["island"] == island]
    return str(said[0]) if said else ""


def test_a_kill_between_last_weights_and_statistics_changes_no_digest(tmp_path: Path) -> None:
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    calm.mkdir()
    disturbed.mkdir()
    expected = digests(run_to_end(calm, **classifier(calm, GOSSIP)))
    fault = Fault(before_the_statistics, 1, 100)
    run = fault.strike(write_job(disturbed, **classifier(disturbed, GOSSIP)))
    code, output = run.finish()
    assert code == ExitCode.OK, output
    assert digests(run.folder) == expected
