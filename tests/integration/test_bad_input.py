"""What users get wrong: one line, a fixed exit code, no traceback, nothing lost."""

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atoll_runs import Run, atoll, write_job
from PIL import Image

from atoll_api.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def image(path: Path, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(side * side, dtype=np.uint8).reshape(side, side)).save(path)


def sizes_differ(folder: Path) -> None:
    image(folder / "data" / "a.png", 8)
    image(folder / "data" / "b.png", 9)


def few_samples(folder: Path) -> None:
    folder.joinpath("data").mkdir()
    np.savez(folder / "data" / "few.npz", x=np.zeros((6, 4), np.float32))


def with_nan(folder: Path) -> None:
    folder.joinpath("data").mkdir()
    x = np.zeros((400, 4), np.float32)
    x[7, 2] = np.nan
    np.savez(folder / "data" / "nan.npz", x=x)


def nothing(folder: Path) -> None:
    folder.joinpath("data").mkdir()


DATA: list[tuple[Any, str, str]] = [
    (nothing, "data", "has no PNG or JPEG image: check the path"),
    (sizes_differ, "data", "data.imageSize"),
    (few_samples, "data/few.npz", "sample"),
    (with_nan, "data/nan.npz", "finite"),
    (nothing, "data/none.npz", "none.npz"),
]


@pytest.mark.parametrize(("make", "source", "expected"), DATA)
def test_bad_data_ends_the_job_at_once(
    make: Any, source: str, expected: str, tmp_path: Path
) -> None:
    make(tmp_path)
    job = write_job(tmp_path, **{"data.source": f"file://{source}"})
    result = atoll("run", job, "--out", tmp_path / "out")
    assert result.returncode == ExitCode.FINAL
    (line,) = result.stderr.splitlines()
    assert line.startswith("atoll: PartitionFailed: partition failed with exit code 65")
    assert expected in line


def test_more_islands_than_the_data_can_feed(tmp_path: Path) -> None:
    spec = {"islands.count": 40, "partition.featureClusters.fineClusters": 640}
    result = atoll("run", write_job(tmp_path, **spec), "--out", tmp_path / "out")
    assert result.returncode == ExitCode.FINAL
    (line,) = result.stderr.splitlines()
    assert "exit code 65" in line
    assert "less than one batch of 64: lower islands.count" in line


BROKEN_TASK = """
import torch
from torch import nn
from atoll_worker.tasks.base import Inputs


class Broken:
    def build_model(self, sample):
        return nn.Linear(64, 64)

    def corrupt(self, batch, generator):
        x = batch.x_BD.flatten(1)
        return Inputs(x, x, torch.zeros(len(x)), None)

    def predict(self, model, inputs):
        return model(inputs.x_BD)

    def losses(self, predicted, inputs):
        return (predicted - inputs.target_BD).square().mean(dim=1) + VALUE

    def contract(self):
        return {"task": "broken"}
"""


def test_a_loss_that_is_no_number_is_final(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN_TASK.replace("VALUE", "float('nan')"))
    spec = {"task": {"type": "Custom", "custom": {"entrypoint": "broken:Broken"}}}
    result = atoll("run", write_job(tmp_path, **spec), "--out", tmp_path / "out")
    assert result.returncode == ExitCode.FINAL
    (line,) = result.stderr.splitlines()
    assert "QuorumLost" in line
    assert "exit code 65" in line
    assert "loss" in line


def test_a_task_that_is_not_there(tmp_path: Path) -> None:
    spec = {"task": {"type": "Custom", "custom": {"entrypoint": "nowhere:Task"}}}
    result = atoll("run", write_job(tmp_path, **spec), "--out", tmp_path / "out")
    assert result.returncode == ExitCode.FINAL
    assert "nowhere" in result.stderr


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = atoll("run", write_job(tmp_path), "--out", tmp_path / "out", "--hub-port", port)
    assert result.returncode == ExitCode.IN_USE
    (line,) = result.stderr.splitlines()
    assert port in line
    assert "--hub-port" in line


@pytest.mark.parametrize("damage", ["truncate", "alter"])
def test_a_damaged_artifact_is_never_handed_out(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run = Run.start(write_job(tmp_path), folder)
    assert run.finish()[0] == ExitCode.OK
    size = max((folder / "hub").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(size.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    size.write_bytes(content[:middle] if damage == "truncate" else content)
    codes = []
    for ref in ("experts/0", "experts/1", "router", "assignment", "report"):
        result = atoll("pull", folder, ref, "-o", tmp_path / "x.safetensors")
        codes.append(result.returncode)
        assert "Traceback" not in result.stderr
    assert any(codes)
    assert set(codes) <= {ExitCode.OK, ExitCode.FINAL}


def test_a_worker_refuses_an_order_of_another_release(tmp_path: Path) -> None:
    import subprocess
    import sys

    order = tmp_path / "order.json"
    order.write_text('{"schemaVersion": 99, "role": "island"}')
    result = subprocess.run(
        [sys.executable, "-m", "atoll_worker", str(order)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == ExitCode.FINAL
    (line,) = result.stderr.splitlines()
    assert "schema version 99" in line
