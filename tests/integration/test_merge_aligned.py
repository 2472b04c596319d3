"""`atoll merge --method aligned` on networks that were trained apart, as files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from atoll_runs import atoll
from builders import job_document
from jobs import run_job
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from atoll_api import names
from atoll_api.exit_codes import ExitCode
from atoll_api.problems import parse_job
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.gathering import holdout_scores
from atoll_worker.train.initial import initial_model

TASK = {"type": "Classification", "classification": {"normalization": "None"}}
APART = {
    "task": TASK,
    "islands": {"count": 2},
    "training": {"steps": 400, "batchSizePerIsland": 32},
    "partition": {"type": "Random"},
    "strategy": {
        "type": "SingleMerge",
        "singleMerge": {"gossip": {"peersPerRound": 0.0}, "initialization": "Independent"},
    },
}
MERGES = {"type": "IterativeMerge", "iterativeMerge": {"topology": {"type": "FullyConnected"}}}


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A job's file, and two networks of it that never met."""
    folder = tmp_path_factory.mktemp("apart")
    done, files = run_job(job_document(**APART)), []
    for island in range(2):
        files.append(folder / f"{island}.safetensors")
        save_file(dict(done.artifacts.fetch(names.final_ref(island)).tensors), files[-1])
    job = folder / "job.yaml"
    job.write_text(json.dumps(job_document(**{**APART, "strategy": MERGES})))
    return job, files


def accuracy(job: Path, weights: Path) -> float:
    spec = parse_job(json.loads(job.read_text())).spec
    task, dataset = load_task(spec.task), load(spec.data)
    model = initial_model(task, dataset, 0)
    model.load_state_dict(load_file(weights))
    part = Part.of(dataset, dataset.holdout)
    return 100 * holdout_scores(task, model, part, 0)["accuracy"]


def merge(files: list[Path], output: Path, *options: Any) -> Any:
    return atoll("merge", *files, "-o", output, *options)


def test_aligned_files_average_where_plain_ones_do_not(
    tmp_path: Path, apart: tuple[Path, list[Path]]
) -> None:
    job, files = apart
    plain, aligned = tmp_path / "plain.safetensors", tmp_path / "aligned.safetensors"
    assert merge(files, plain).returncode == ExitCode.OK
    done = merge(files, aligned, "--method", "aligned", "--task", job)
    assert done.returncode == ExitCode.OK, done.stderr
    assert accuracy(job, aligned) >= accuracy(job, plain) + 10
    with safe_open(aligned, framework="np") as it, safe_open(plain, framework="np") as other:
        told, ours = (json.loads(f.metadata()["atoll.merge"]) for f in (it, other))
    assert told["method"] == "aligned"
    assert told["models"] == ours["models"], "the models themselves, not what stood in for them"
    assert sorted(tmp_path.iterdir()) == [aligned, plain]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--method", "aligned"), ExitCode.FINAL, "name the job that the models were trained by"),
        (("--task", "JOB"), 2, "--task is of no use to mean"),
        (("--method", "aligned", "--task", "missing.yaml"), ExitCode.INVALID, "no such file"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path,
    apart: tuple[Path, list[Path]],
    options: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    job, files = apart
    given = [job if it == "JOB" else it for it in options]
    done = merge(files, tmp_path / "out.safetensors", *given)
    assert done.returncode == code
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_network_is_refused(tmp_path: Path, apart: tuple[Path, list[Path]]) -> None:
    job, files = apart
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    done = merge([*files, other], tmp_path / "out", "--method", "aligned", "--task", job)
    assert done.returncode == ExitCode.FINAL
    assert "other.safetensors do not fit the job's model" in done.stderr
