"""A job that merges, by the commands a user types: run, status, sample, pull, and what is refused."""

import json
from pathlib import Path

import pytest
from atoll_runs import atoll, run_to_end
from PIL import Image
from safetensors import safe_open

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DILOCO = {
    "type": "IterativeMerge",
    "iterativeMerge": {
        "topology": {"type": "FullyConnected"},
        "stepsPerRound": 100,
        "mix": {"type": "OuterNesterov"},
        "optimizerState": "Keep",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three islands and three rounds."""
    evaluation = {"samples": 64, "seeds": 1, "samplerSteps": 4}
    spec = {"islands.count": 3, "strategy": DILOCO, "evaluation": evaluation}
    return run_to_end(tmp_path_factory.mktemp("merges"), **spec)


def test_its_status_and_report_speak_of_one_model(folder: Path) -> None:
    status = json.loads(atoll("status", folder, "--json").stdout)
    assert status["state"] == "Complete"
    assert {it["model"] for it in status["evaluation"]["metrics"]} == {"Merged", "AllIslands"}
    (merge,) = (step for step in status["steps"] if step["name"] == "merge")
    assert merge["message"].startswith("merged: loss of the islands")
    shown = atoll("report", folder).stdout
    assert "Merged" in shown
    assert "Between islands while training: 0 bytes" not in shown
    assert "Mergeability" in (folder / "report.html").read_text()


def test_bytes_between_islands_are_the_snapshots_and_little_more(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    taken = sum(it["snapshots"] for it in report["findings"]["merging"]["islands"])
    model_bytes = 4 * report["findings"]["systems"][0]["parameters"]
    assert taken == 3 * 3 * 2
    assert 1 < report["run"]["bytesBetweenIslands"] / (taken * model_bytes) < 1.5


def test_samples_are_of_the_merged_model(folder: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    drawn = atoll("sample", folder, "-n", "4", "-o", grid)
    assert drawn.returncode == ExitCode.OK, drawn.stderr
    assert "4 samples, Merged" in drawn.stdout
    with Image.open(grid) as picture:
        assert picture.getextrema() != ((255, 255),) * 3
    refused = atoll("sample", folder, "-o", grid, "--combine", "Full")
    assert refused.returncode == ExitCode.FAILED
    assert "a job of IterativeMerge has none: say Merged or Baseline" in refused.stderr


def test_its_weights_can_be_pulled(folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "merged.safetensors"
    assert atoll("pull", folder, "merged", "-o", weights).returncode == ExitCode.OK
    with safe_open(weights, framework="np") as file:
        assert len(list(file.keys())) > 4
