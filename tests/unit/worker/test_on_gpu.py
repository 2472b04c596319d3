"""On a real GPU: the same seed gives the same bits, killed or not, and they leave it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training import SmallJob, save_npz

from atoll_api.names import ENV_DEVICE, expert_ref
from atoll_api.spec.partition import Partition
from atoll_api.spec.task import (
    Architecture,
    ClassificationTask,
    ClassifierArchitecture,
    DiffusionTask,
    DitSettings,
    Task,
)
from atoll_worker import device
from atoll_worker.errors import DisruptedError
from atoll_worker.exchange.memory import MemoryStop
from atoll_worker.roles import island, partition

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="NO GPU HERE: nothing of what Atoll does on one is checked",
)
DIT = Architecture(type="DiT", dit=DitSettings(width=32, depth=2, heads=2, patch_size=2))
TASKS = {
    "dit": Task(type="Diffusion", diffusion=DiffusionTask(architecture=DIT)),
    "cnn": Task(
        type="Classification",
        classification=ClassificationTask(architecture=ClassifierArchitecture(type="CNN")),
    ),
}


@pytest.fixture(autouse=True)
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_DEVICE, "cuda")
    where = device.chosen.__wrapped__()
    monkeypatch.setattr(device, "chosen", lambda: where)


def digest_of(folder: Path, task: Task, stops: tuple[int, ...] = ()) -> str:
    generator = np.random.default_rng(0)
    x = generator.normal(0, 0.3, (300, 1, 8, 8)).astype(np.float32).clip(-1, 1)
    data = save_npz(folder / "data.npz", x=x, y=generator.integers(0, 3, 300))
    job = SmallJob(data=data, task=task, partition=Partition(type="Random"))
    partition.run(job.partition_order(), job.context("partition"))
    for checks in stops:
        with pytest.raises(DisruptedError):
            island.run(job.island_order(0), job.context("island-0", MemoryStop(checks)))
    island.run(job.island_order(0), job.context("island-0"))
    assert "on " in job.reports["island-0"].message
    expert = job.artifacts.fetch(expert_ref(0))
    assert {it.device for it in expert.tensors.values()} == {device.CPU}
    return job.artifacts.bindings()[expert_ref(0)].digest


def test_memory_of_the_gpu_is_known() -> None:
    held = torch.zeros(1 << 20, device="cuda")
    found = device.memory()
    assert found is not None
    assert min(found) >= held.nbytes


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_equal_seeds_give_equal_bits_killed_or_not(tmp_path: Path, task: Task) -> None:
    first = digest_of(tmp_path, task)
    assert digest_of(tmp_path, task) == first
    assert digest_of(tmp_path, task, stops=(11, 5)) == first
