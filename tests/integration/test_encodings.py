"""Jobs whose weights travel rounded, end to end with real processes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from atoll_runs import atoll, digests, run_to_end
from safetensors import safe_open
from torch import Tensor

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every bound artifact of a run."""
    rows = [line.split() for line in atoll("pull", folder).stdout.splitlines()]
    return {ref: int(size) for ref, size, _ in rows}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One job, run with each of some encodings and with the last one twice."""
    encodings = {"Raw": "Raw", "Int8": "Int8", "Delta": "Delta", "again": "Delta"}
    baseline = {"enabled": True}
    return {
        name: run_to_end(
            tmp_path_factory.mktemp(name), **{"exchange.encoding": it, "baseline": baseline}
        )
        for name, it in encodings.items()
    }


@pytest.mark.parametrize("encoding", ["Int8", "Delta"])
def test_experts_travel_in_a_quarter_of_the_bytes(runs: dict[str, Path], encoding: str) -> None:
    before, after = sizes(runs["Raw"]), sizes(runs[encoding])
    for ref in ("experts/0", "experts/1", "baseline"):
        assert 0.25 < after[ref] / before[ref] < 0.30
    for ref in ("assignment", *(["router"] if encoding == "Delta" else [])):
        assert after[ref] == before[ref]


def test_a_run_repeats_itself(runs: dict[str, Path]) -> None:
    assert digests(runs["Delta"]) == digests(runs["again"])


def pulled(run: Path, ref: str, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of an artifact, and what is said about them."""
    result = atoll("pull", run, ref, "-o", path)
    assert result.returncode == ExitCode.OK, result.stderr
    with safe_open(path, framework="pt") as file:
        said = json.loads(file.metadata()["atoll.metadata"])
        return {name: file.get_tensor(name) for name in file.keys()}, said  # noqa: SIM118


@pytest.mark.parametrize("ref", ["experts/1", "baseline"])
def test_who_never_held_the_base_pulls_what_was_trained(
    runs: dict[str, Path], tmp_path: Path, ref: str
) -> None:
    base, _ = pulled(runs["Delta"], "init", tmp_path / "init.safetensors")
    exact, _ = pulled(runs["Raw"], ref, tmp_path / "exact.safetensors")
    found, said = pulled(runs["Delta"], ref, tmp_path / "found.safetensors")
    assert said["encoding"]["base"]["ref"] == "init"
    bound = said["encoding"]["errorBound"]
    for name, tensor in found.items():
        rows = [it.reshape(len(it) if it.dim() > 1 else 1, -1) for it in (exact[name], base[name])]
        change = (rows[0] - rows[1]).abs().amax(dim=1, keepdim=True)
        allowed = bound["relative"] * change + bound["ofBase"] * rows[1].abs().max()
        assert bool(((tensor.reshape(rows[0].shape) - rows[0]).abs() <= allowed).all())
        assert not torch.equal(tensor, base[name])


def test_samples_and_the_report_are_of_the_weights_that_arrived(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    drawn = atoll("sample", runs["Delta"], "-n", "4", "-o", tmp_path / "drawn.png")
    assert drawn.returncode == ExitCode.OK, drawn.stderr
    findings = json.loads((runs["Delta"] / "report.json").read_text())["findings"]
    assert {it["encoding"] for it in findings["islands"]} == {"Delta"}
    assert findings["baseline"]["encoding"] == "Delta"
