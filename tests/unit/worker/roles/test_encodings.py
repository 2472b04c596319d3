"""What `spec.exchange.encoding` does: how trained models are published, and nothing else."""

import pytest
import torch
from training import SmallJob

from atoll_api.names import Ref
from atoll_api.spec.exchange import Encoding
from atoll_api.work_order import TrainingOrder
from atoll_worker.errors import DisruptedError
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.memory import MemoryStop
from atoll_worker.roles import baseline, island, partition, router

ROUNDING: list[Encoding] = ["BFloat16", "Float16", "Int8"]


def divided() -> SmallJob:
    job = SmallJob(steps=20)
    partition.run(job.partition_order(), job.context("partition"))
    return job


def train(job: SmallJob, encoding: Encoding, stop: MemoryStop | None = None) -> None:
    order = job.island_order(0).model_copy(update={"encoding": encoding})
    island.run(order, job.context("island-0", stop))


def encodings(job: SmallJob, ref: str) -> set[str]:
    manifest = encode(job.artifacts.fetch(Ref(ref))).manifest
    return {tensor.encoding for tensor in manifest.tensors if tensor.dtype == "float32"}


@pytest.mark.parametrize("encoding", ROUNDING)
def test_an_expert_is_judged_as_it_is_published(encoding: Encoding) -> None:
    exact, rounded = divided(), divided()
    train(exact, "Raw")
    train(rounded, encoding)
    first, second = (job.artifacts.fetch(Ref("experts/0")) for job in (exact, rounded))
    assert encoding.lower() in encodings(rounded, "experts/0")
    assert second.metadata["encoding"]["name"] == encoding  # type: ignore[index,call-overload]
    assert first.metadata["lossCurve"] == second.metadata["lossCurve"]
    assert first.metadata["finalHoldoutLoss"] != second.metadata["finalHoldoutLoss"]
    for name, tensor in first.tensors.items():
        assert torch.allclose(tensor, second.tensors[name], rtol=2**-8, atol=0.02)


@pytest.mark.parametrize("encoding", ROUNDING)
def test_checkpoints_are_exact_so_that_a_killed_island_ends_at_the_same_digest(
    encoding: Encoding,
) -> None:
    killed, undisturbed = divided(), divided()
    with pytest.raises(DisruptedError):
        train(killed, encoding, MemoryStop(7))
    (checkpoint,) = killed.artifacts.bindings("checkpoints/")
    assert encodings(killed, checkpoint) == {"raw"}
    train(killed, encoding)
    train(undisturbed, encoding)
    digests = {job.artifacts.bindings()[Ref("experts/0")].digest for job in (killed, undisturbed)}
    assert len(digests) == 1


def test_the_baseline_and_the_router_travel_as_the_experts_do() -> None:
    job = divided()
    for role, order in ((baseline, job.baseline_order()), (router, job.router_order())):
        told: TrainingOrder = order.model_copy(update={"encoding": "Int8"})
        role.run(told, job.context(str(told.step)))
    assert "int8" in encodings(job, "baseline")
    assert "int8" in encodings(job, "router")
    assert job.artifacts.fetch(Ref("assignment")).encoding == "Raw"
