"""`atoll run` with artifacts in a bucket: the same results as on a folder, and no secret written."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import held_tasks
import pytest
from atoll_runs import Run, atoll, digests, run_to_end, write_job
from held_tasks import HeldDiffusion, Hold
from s3_server import S3Server
from safetensors import safe_open

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def long(folder: Path) -> dict[str, Any]:
    """A job whose islands can be held in training."""
    return {"training.steps": 1600, "task": held_tasks.spec(HeldDiffusion, folder)}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def keys(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where a run finds its credentials: in the environment, and nowhere else."""
    known = {"AWS_ACCESS_KEY_ID": "AKIAOWNER", "AWS_SECRET_ACCESS_KEY": "the-owners-secret"}
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    return known


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the same run binds that keeps its artifacts in its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return digests(run_to_end(folder, **long(folder)))


def in_bucket(server: S3Server, prefix: str, bucket: str = "artifacts") -> dict[str, Any]:
    store = {"url": f"s3://{bucket}/{prefix}", "endpoint": server.address}
    return {"artifacts": {"storage": {"type": "ObjectStore", "objectStore": store}}}


def texts(folder: Path) -> str:
    return "".join(p.read_text(errors="replace") for p in folder.rglob("*") if p.is_file())


def test_a_run_whose_hub_is_killed_and_folder_lost_ends_as_on_a_folder(
    server: S3Server, tmp_path: Path, undisturbed: dict[str, str], keys: dict[str, str]
) -> None:
    folder = tmp_path / "out"
    job = write_job(tmp_path, **long(tmp_path), **in_bucket(server, "killed"))
    hold = Hold(tmp_path, "island-1", 1000)
    run = Run.start(job, folder)
    run.wait_for(hold.reached)
    run.kill_child("hub")
    hold.release()
    code, output = run.finish()
    assert code == ExitCode.OK, output
    assert "Artifacts are kept in s3://artifacts/killed/digits-" in output
    restarts = {step["name"]: step["restarts"] for step in run.status()["steps"]}
    assert restarts["hub"] == 1
    assert digests(folder) == undisturbed
    assert not list((folder / "hub").rglob("*.pack"))
    assert len(server.bucket("killed").list_with_delimiter()["common_prefixes"]) == 1

    pulled = atoll("pull", folder, "experts/1", "-o", tmp_path / "expert.safetensors")
    assert pulled.returncode == ExitCode.OK, pulled.stderr
    with safe_open(tmp_path / "expert.safetensors", "pt") as file:
        assert len(file.keys()) > 0
    drawn = atoll("sample", folder, "-n", "4", "-o", tmp_path / "samples.png")
    assert drawn.returncode == ExitCode.OK, drawn.stderr

    again = atoll("run", job, "--out", folder)
    assert again.returncode == ExitCode.OK, again.stderr
    for value in keys.values():
        assert value not in texts(folder) + output

    shutil.rmtree(folder)  # what is bound is in the bucket: the report alone is made anew
    anew = atoll("run", job, "--out", folder)
    assert anew.returncode == ExitCode.OK, anew.stderr + anew.stdout
    assert sorted(log.stem for log in (folder / "logs").iterdir()) == ["evaluate", "hub"]
    assert digests(folder) == undisturbed


def test_the_example_is_a_valid_job() -> None:
    example = Path(__file__).resolve().parents[2] / "examples/object_store.yaml"
    result = atoll("validate", example)
    assert result.returncode == ExitCode.OK, result.stderr


def starts_of_the_hub(place: Path) -> int:
    return (place / "out/logs/hub.log").read_text().count("hub of digits begins")


def test_a_bucket_that_is_missing_is_one_line_and_no_patience(
    server: S3Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, **in_bucket(server, "x", bucket="elsewhere"))
    result = atoll("run", job, "--out", tmp_path / "out")
    assert result.returncode == ExitCode.FINAL
    assert "there is no such bucket: make it, or correct artifacts.storage" in result.stderr
    assert result.stderr.count("\n") == 1
    assert starts_of_the_hub(tmp_path) == 1


def test_credentials_that_are_wrong_are_one_line_and_no_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = S3Server()
    try:
        guarded.require_credentials()
        result = atoll(
            "run", write_job(tmp_path, **in_bucket(guarded, "x")), "--out", tmp_path / "out"
        )
    finally:
        guarded.kill()
    assert result.returncode == ExitCode.FINAL
    assert "the access key is not known there: check AWS_ACCESS_KEY_ID" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "AKIAOWNER" not in result.stderr + texts(tmp_path)
    assert starts_of_the_hub(tmp_path) == 1


def test_a_job_that_runs_into_its_quota_says_so_and_goes_on_with_a_larger_one(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "out"
    result = atoll("run", write_job(tmp_path, artifacts={"quota": "400Ki"}), "--out", folder)
    assert result.returncode == ExitCode.NO_SPACE, result.stdout + result.stderr
    assert "of the job's quota of" in result.stderr
    assert "raise spec.artifacts.quota and run again" in result.stderr
    assert result.stderr.count("\n") == 1
    status = json.loads((folder / "status.json").read_text())
    (failed,) = [it for it in status["conditions"] if it["type"] == "Failed"]
    assert "experts/" in failed["message"]
    assert "of the job's quota of 409600 are left" in failed["message"]
    assert {it["restarts"] for it in status["islands"]} == {0}
    larger = write_job(tmp_path, artifacts={"quota": "1Gi"})
    assert atoll("run", larger, "--out", folder).returncode == ExitCode.OK
