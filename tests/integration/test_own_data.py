"""Jobs whose islands bring their own data: nobody else reads them, and what does not fit is told."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atoll_runs import Run
from builders import job_document
from jobs import document, run_job
from ruamel.yaml import YAML

from atoll_api.exit_codes import ExitCode

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("own")
    runpy.run_path(str(EXAMPLE / "make_data.py"))["main"](made)
    return made


def job(folder: Path, **spec: Any) -> dict[str, Any]:
    """The example with few steps, its data in a folder."""
    said = YAML(typ="safe").load((EXAMPLE / "job.yaml").read_text())["spec"]
    said["data"] = {"source": f"file://{folder}/island-{{island}}.npz"}
    said["evaluation"] = {"data": {"source": f"file://{folder}/shared.npz", "holdout": 0.9}}
    said["training"] = {"steps": 200, "batchSizePerIsland": 32}
    return document("own", **{**said, **spec})


def test_the_merged_model_knows_classes_that_no_island_has_seen_alone(folder: Path) -> None:
    job_done = run_job(job(folder))
    findings = job_done.findings
    assert findings["partition"]["type"] == "PerIsland"
    assert findings["partition"]["sizes"] == [243, 197, 197]
    assert findings["systems"][0]["measures"]["accuracy"] > 0.7  # six classes alone give 0.6
    assert "Nobody has the data of all islands" in findings["verdict"]["sentence"]
    assert [it["ownPartLoss"] for it in findings["islands"] if "ownPartLoss" in it] == []


def test_nothing_that_is_bound_holds_an_islands_samples(folder: Path) -> None:
    artifacts = run_job(job(folder)).artifacts
    for ref in artifacts.bindings("assignment/"):
        assert not artifacts.fetch(ref).tensors


def test_islands_may_count_by_the_samples_they_say_they_have(folder: Path) -> None:
    def single(final: dict[str, Any]) -> dict[str, Any]:
        gossip = {"peersPerRound": 0.5, "stepsPerRound": 20}
        return {"type": "SingleMerge", "singleMerge": {"gossip": gossip, "finalMerge": final}}

    by_samples = run_job(job(folder, strategy=single({"weights": "BySamples"})))
    uniform = run_job(job(folder, strategy=single({})))
    ours, theirs = (it.findings["systems"][0]["holdoutLoss"] for it in (by_samples, uniform))
    assert ours != theirs


def test_an_override_brings_the_data_of_one_island(folder: Path) -> None:
    data = {"source": f"file://{folder}/shared.npz", "holdout": 0.5}
    islands = {"count": 3, "overrides": [{"island": 1, "data": data}]}
    findings = run_job(job(folder, islands=islands)).findings
    assert findings["partition"]["sizes"] == [243, 150, 197]


@pytest.mark.slow
def test_data_that_do_not_fit_end_the_run_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "wide.npz", x=np.zeros((20, 1, 9, 9), np.uint8), y=np.arange(20) % 10)
    data = {"source": f"file://{tmp_path}/wide.npz"}
    spec = job(folder, islands={"count": 3, "overrides": [{"island": 1, "data": data}]})["spec"]
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(job_document(**spec)))
    code, output = Run.start(path, tmp_path / "out").finish()
    assert code == ExitCode.FINAL, output
    assert "island-1 failed with exit code 65" in output
    assert "those of evaluation.data (1, 8, 8)" in output


def test_pictures_have_no_parts_that_nobody_may_show(folder: Path) -> None:
    diffusion = {"type": "Diffusion"}
    cheap = {"samples": 16, "seeds": 1, "samplerSteps": 2}
    said = job(folder, task=diffusion, training={"steps": 20, "batchSizePerIsland": 32})
    said["spec"]["evaluation"] |= cheap
    strategy = {"type": "SingleMerge", "singleMerge": {"gossip": {"stepsPerRound": 5}}}
    said["spec"]["strategy"] = strategy
    samples = run_job(said).findings["systems"][0]["samples"]
    assert "partVariation" not in samples
