"""Where a process computes, and that nothing of a job is left behind on the way there or back."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from far_device import FarTensor, far_device
from scraped import Page
from torch import Tensor, nn
from training import SMALL_DIFFUSION, SmallJob

from atoll_api.names import ENV_DEVICE, ROUTER_REF, expert_ref
from atoll_api.spec.task import ClassificationTask, DiffusionTask, Task
from atoll_api.spec.training import Optimizer
from atoll_telemetry.instruments import Instruments
from atoll_worker import device, metrics
from atoll_worker.errors import DisruptedError, FinalError, WorkerError, explain
from atoll_worker.exchange.memory import MemoryStop
from atoll_worker.roles import island, partition, router
from atoll_worker.tally import Tally
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec
from atoll_worker.tasks.diffusion import DiffusionTask as Diffusion
from atoll_worker.train.checkpoint import restore, snapshot
from atoll_worker.train.loop import LoopSettings, start_state
from atoll_worker.train.optimizer import Implementation
from atoll_worker.train.protocol_check import try_task


@pytest.fixture
def sees_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield monkeypatch
    torch.use_deterministic_algorithms(mode=False)


def chosen_when(monkeypatch: pytest.MonkeyPatch, said: str) -> torch.device:
    monkeypatch.setenv(ENV_DEVICE, said)
    found: torch.device = device.chosen.__wrapped__()
    return found


def test_a_gpu_is_used_where_there_is_one_and_repeats_itself(
    sees_gpu: pytest.MonkeyPatch,
) -> None:
    assert chosen_when(sees_gpu, "cpu") == device.CPU
    assert not torch.are_deterministic_algorithms_enabled()
    for said in ("", "cuda"):
        assert chosen_when(sees_gpu, said) == torch.device("cuda", 0)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_without_a_gpu_it_is_the_cpu_unless_one_is_insisted_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_when(monkeypatch, "") == device.CPU
    with pytest.raises(WorkerError, match="sees no GPU: check the driver") as error:
        chosen_when(monkeypatch, "cuda")
    assert not isinstance(error.value, FinalError)  # another node may have one
    with pytest.raises(FinalError, match="ATOLL_DEVICE is 'gpu': say cpu or cuda"):
        chosen_when(monkeypatch, "gpu")


def test_on_the_cpu_nothing_is_said_moved_or_copied() -> None:
    inputs = Inputs(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2), None)
    assert device.described() == ""
    assert device.generators() == []
    assert device.follow(inputs, nn.Linear(3, 3)) is inputs
    tensors = {"x": inputs.x_BD}
    assert device.on_cpu(tensors)["x"].data_ptr() == inputs.x_BD.data_ptr()
    assert device.on_cpu(tensors, copy=True)["x"].data_ptr() != inputs.x_BD.data_ptr()


@dataclass(frozen=True)
class MaskedInputs(Inputs):
    mask_B: Tensor


def test_inputs_follow_a_model_with_all_that_a_task_added_to_them() -> None:
    with far_device() as far:
        given = MaskedInputs(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2), None, torch.ones(2))
        moved = device.follow(given, nn.Linear(3, 3).to(far))
        assert isinstance(moved, MaskedInputs)
        assert {it.device for it in (moved.x_BD, moved.target_BD, moved.mask_B)} == {far}
        assert moved.label_B is None


def test_a_model_comes_back_from_the_device() -> None:
    model = nn.Linear(3, 3)
    with far_device() as far:
        with device.placed(model):
            assert device.of(model) == far
        assert device.of(model) == device.CPU


@pytest.mark.parametrize("implementation", ["fused", "single"])
def test_a_checkpoint_is_on_the_cpu_and_goes_on_there(implementation: Implementation) -> None:
    settings = LoopSettings(
        "it", 4, Optimizer(), 0.9, seed=0, purpose="expert", implementation=implementation
    )
    with far_device() as far:
        state = start_state(nn.Linear(3, 3).to(far), settings)
        saved = snapshot(state)
        assert not any(isinstance(it, FarTensor) for it in saved.tensors.values())
        restore(state, saved)
        live = {**state.model.state_dict(), **state.ema.state(), "loss": state.loss_sum}
        moments = {k: it for k, it in state.optimizer.state().items() if "step" not in k}
        assert {it.device for it in (*live.values(), *moments.values())} == {far}


def digest_of(task: Task, stops: tuple[int, ...] = ()) -> str:
    job = SmallJob(task=task, steps=12)
    partition.run(job.partition_order(), job.context("partition"))
    for checks in stops:
        with pytest.raises(DisruptedError):
            island.run(job.island_order(0), job.context("island-0", MemoryStop(checks)))
    island.run(job.island_order(0), job.context("island-0"))
    assert ("resumed at step" in job.reports["island-0"].message) == bool(stops)
    assert not any(map(is_far, job.artifacts.fetch(expert_ref(0)).tensors.values()))
    return job.artifacts.bindings()[expert_ref(0)].digest


def is_far(tensor: Tensor) -> bool:
    return isinstance(tensor, FarTensor)


TASKS = {
    "diffusion": SMALL_DIFFUSION,
    "classification": Task(type="Classification", classification=ClassificationTask()),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_island_leaves_nothing_behind_and_resumes_on_the_device(task: Task) -> None:
    with far_device():
        assert digest_of(task, stops=(7, 3)) == digest_of(task)


def test_what_is_held_of_the_device_is_counted() -> None:
    tally = Tally(Instruments(metrics.of_role("island")))
    job = SmallJob()
    partition.run(job.partition_order(), job.context("partition"))
    context = dataclasses.replace(job.context("island-0"), tally=tally)
    with far_device():
        island.run(job.island_order(0), context)
    page = Page.of(tally.exposition("")[0].decode())
    assert page.value("atoll_gpu_seconds_total") > 0
    assert page.value("atoll_gpu_memory_bytes") == 100
    assert page.value("atoll_gpu_memory_peak_bytes") == 200
    assert page.value("atoll_train_gradient_norm") > 0


def test_the_router_trains_on_the_device() -> None:
    with far_device():
        job = SmallJob()
        partition.run(job.partition_order(), job.context("partition"))
        router.run(job.router_order(), job.context("router"))
        assert not any(map(is_far, job.artifacts.fetch(ROUTER_REF).tensors.values()))


class OutOfMemory(Diffusion):
    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:  # noqa: ARG002 - protocol
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_gpu_that_is_too_small_is_no_fault_of_the_task() -> None:
    task = OutOfMemory(DiffusionTask())
    model = task.build_model(SampleSpec((4,), 0))
    with pytest.raises(torch.OutOfMemoryError) as error:
        try_task(task, model, Batch(torch.zeros(2, 4), None))
    told = explain(error.value)
    assert str(told) == "out of GPU memory: use a smaller batch or model, or a larger GPU"
    assert told.exit_code == explain(MemoryError()).exit_code
