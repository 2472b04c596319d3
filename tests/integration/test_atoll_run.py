"""The main job, end to end, with real processes: undisturbed, killed, interrupted, resumed."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import held_tasks
import pytest
from atoll_runs import Run, atoll, children_of, digests, environment, run_to_end, write_job
from held_tasks import HeldDiffusion, Hold

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def long(folder: Path) -> dict[str, Any]:
    """A job whose islands can be held in training."""
    return {"training.steps": 2000, "task": held_tasks.spec(HeldDiffusion, folder)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run binds that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return digests(run_to_end(folder, **long(folder)))


def test_a_run_ends_with_a_report_and_its_artifacts(tmp_path: Path) -> None:
    job = write_job(tmp_path, **{"baseline.enabled": True})
    result = atoll("run", job, "--out", tmp_path / "out")
    assert result.returncode == ExitCode.OK, result.stderr
    assert "Between islands while training: 0 bytes." in result.stdout
    assert str(tmp_path / "out" / "report.html") in result.stdout
    bound = digests(tmp_path / "out")
    experts = {"experts/0", "experts/1", "router", "baseline", "report", "assignment"}
    assert experts < bound.keys()
    assert not [ref for ref in bound if ref.startswith("checkpoints/")]
    status = json.loads(atoll("status", tmp_path / "out", "--json").stdout)
    assert status["state"] == "Complete"
    assert status["islandsReady"] == "2/2"
    assert {metric["model"] for metric in status["evaluation"]["metrics"]} == {"Full", "Baseline"}
    again = atoll("run", job, "--out", tmp_path / "out")
    assert again.returncode == ExitCode.OK
    assert digests(tmp_path / "out") == bound


def test_the_commands_that_look_at_a_finished_run(tmp_path: Path) -> None:
    from PIL import Image
    from safetensors import safe_open

    folder = tmp_path / "out"
    assert atoll("run", write_job(tmp_path), "--out", folder).returncode == ExitCode.OK
    weights = tmp_path / "expert.safetensors"
    assert atoll("pull", folder, "experts/1", "-o", weights).returncode == ExitCode.OK
    with safe_open(weights, framework="np") as file:
        assert file.metadata()["atoll.digest"] == digests(folder)["experts/1"]
        assert len(list(file.keys())) > 4
    grid = tmp_path / "grid.png"
    drawn = atoll("sample", folder, "-n", "9", "-o", grid, "--combine", "Threshold")
    assert drawn.returncode == ExitCode.OK, drawn.stderr
    with Image.open(grid) as picture:
        assert picture.size == (3 * 50 + 2, 3 * 50 + 2)
        assert picture.getextrema() != ((255, 255),) * 3
    assert "FD to train" in atoll("report", folder).stdout
    unknown = atoll("pull", folder, "experts/9")
    assert unknown.returncode == ExitCode.FAILED
    assert "experts/9: not in this run; there is: assignment" in unknown.stderr


def test_a_killed_island_changes_no_digest(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    folder = tmp_path / "out"
    hold = Hold(tmp_path, "island-1", 1500)
    run = Run.start(write_job(tmp_path, **long(tmp_path)), folder)
    run.wait_for(hold.reached)
    hold.release()
    run.kill_child("island-1")
    code, output = run.finish()
    assert code == ExitCode.OK, output
    (island,) = [i for i in run.status()["islands"] if i["island"] == 1]
    assert island["restarts"] == 1
    assert digests(folder) == undisturbed


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, 143)]
)
def test_a_stopped_run_goes_on_from_where_it_was(
    number: signal.Signals, code: int, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "out"
    job = write_job(tmp_path, **long(tmp_path))
    hold = Hold(tmp_path, "island-0", 1500)
    run = Run.start(job, folder)
    run.wait_for(hold.reached)
    run.signal(number)
    hold.release()
    assert run.finish()[0] == code
    assert children_of(folder) == []
    assert any(ref.startswith("checkpoints/island-0/") for ref in digests(folder))
    resumed = Run.start(job, folder)
    assert resumed.finish()[0] == ExitCode.OK
    assert digests(folder) == undisturbed


def test_no_process_outlives_a_killed_run(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    hold = Hold(tmp_path, "island-0", 100)
    run = Run.start(write_job(tmp_path, **long(tmp_path)), folder)
    run.wait_for(hold.reached)
    assert len(children_of(folder)) >= 2
    run.signal(signal.SIGKILL)
    run.finish()
    deadline = time.monotonic() + 30
    while children_of(folder):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.05)


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    job = write_job(tmp_path, **long(tmp_path))
    first = Run.start(job, folder)
    first.wait_for(bool)
    second = atoll("run", job, "--out", folder)
    assert second.returncode == ExitCode.IN_USE
    assert str(folder) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    first.signal(signal.SIGINT)
    first.finish()
    other = atoll("run", write_job(tmp_path, seed=1), "--out", folder)
    assert other.returncode == ExitCode.IN_USE
    assert "--out" in other.stderr


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    result = atoll(
        "run", write_job(tmp_path), "--out", tmp_path / "out", preexec_fn=small_files,
        env=environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert result.returncode in (ExitCode.FAILED, ExitCode.NO_SPACE)
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


def test_a_report_that_was_removed_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    job = write_job(tmp_path)
    assert atoll("run", job, "--out", folder).returncode == ExitCode.OK
    before = digests(folder)
    report = (folder / "report.json").read_text()
    (folder / "report.json").unlink()
    missing = atoll("report", folder)
    assert missing.returncode == ExitCode.FAILED
    assert "run the job again: only the report is made anew" in missing.stderr
    assert atoll("run", job, "--out", folder).returncode == ExitCode.OK
    assert json.loads((folder / "report.json").read_text()) == json.loads(report)
    assert digests(folder) == before


def test_the_example_of_a_users_own_task_runs(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "examples/custom_task/job.yaml"
    job = tmp_path / "job.yaml"
    job.write_text(example.read_text().replace("steps: 1000", "steps: 60"))
    shutil.copy(example.with_name("digit_classifier.py"), tmp_path)
    result = atoll("run", job, "--out", tmp_path / "out")
    assert result.returncode == ExitCode.OK, result.stderr
    assert "holdout loss" in result.stdout
    drawn = atoll("sample", tmp_path / "out", cwd=tmp_path)
    assert (drawn.returncode, "DigitClassifier is neither" in drawn.stderr) == (1, True)


def test_what_a_complete_run_has_lost_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    job = write_job(tmp_path)
    assert atoll("run", job, "--out", folder).returncode == ExitCode.OK
    before = digests(folder)
    shutil.rmtree(folder / "hub")
    assert atoll("run", job, "--out", folder).returncode == ExitCode.OK
    assert digests(folder) == before
    (one,) = (it for it in (folder / "hub/refs").iterdir() if '"assignment/1"' in it.read_text())
    one.unlink()  # as a message says to whoever finds it altered
    assert atoll("run", job, "--out", folder).returncode == ExitCode.OK
    assert digests(folder) == before
