"""A network with running statistics trains, stops, resumes and travels like any other."""

import pytest
import torch
from networks import classifier
from torch import Tensor
from training import SmallJob

from atoll_api.names import Ref
from atoll_api.spec.exchange import Encoding
from atoll_api.spec.partition import Dirichlet, Partition
from atoll_api.spec.task import Task
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.errors import DisruptedError
from atoll_worker.exchange.memory import MemoryStop
from atoll_worker.roles import baseline, island, partition, router
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.initial import initial_model

BATCH_NORM = Task.from_document(classifier("MLP", mlp={"width": 16}))
COUNTS = ("norms.0.num_batches_tracked", "norms.1.num_batches_tracked")


def divided(encoding: Encoding = "Raw", partition_type: Partition | None = None) -> SmallJob:
    job = SmallJob(task=BATCH_NORM, steps=60)
    if partition_type is not None:
        job.partition = partition_type
    task = job.task if encoding == "Delta" else None
    order = job.partition_order().model_copy(update={"initialization": task})
    partition.run(order, job.context("partition"))
    return job


def train(job: SmallJob, encoding: Encoding = "Raw", stop: MemoryStop | None = None) -> None:
    order = job.island_order(0).model_copy(update={"encoding": encoding})
    island.run(order, job.context("island-0", stop))


def expert(job: SmallJob) -> dict[str, Tensor]:
    return dict(job.artifacts.fetch(Ref("experts/0")).tensors)


@pytest.mark.parametrize("encoding", ["Raw", "BFloat16", "Float16", "Int8", "Delta"])
def test_an_expert_carries_its_statistics_and_exact_counts(encoding: Encoding) -> None:
    job = divided(encoding)
    train(job, encoding)
    tensors = expert(job)
    for name in COUNTS:
        assert tensors[name].dtype == torch.int64
        assert tensors[name].item() == 60, "trials and judging are not counted"
    assert tensors["norms.0.running_var"].min() > 0
    assert job.artifacts.fetch(Ref("experts/0")).metadata["gatePassed"] is True


def test_statistics_are_those_of_training_and_not_of_the_start() -> None:
    job = divided()
    train(job)
    trained, dataset = expert(job), load(job.data)
    fresh = initial_model(load_task(job.task), dataset, job.seed).state_dict()
    assert not torch.allclose(trained["norms.0.running_mean"], fresh["norms.0.running_mean"])
    model = initial_model(load_task(job.task), dataset, job.seed)
    model.load_state_dict(trained)
    own = Part.of(dataset, dataset.train).rows(torch.arange(500))
    with torch.no_grad():
        hidden = model.get_submodule("layers.0")(own.x_BD.flatten(1))
    error = (hidden.mean(dim=0) - trained["norms.0.running_mean"]).abs().max()
    assert error < hidden.std(dim=0).mean()


def test_a_killed_island_ends_at_the_same_digest() -> None:
    killed, undisturbed = divided(), divided()
    with pytest.raises(DisruptedError):
        train(killed, stop=MemoryStop(17))
    (checkpoint,) = killed.artifacts.bindings("checkpoints/")
    saved = killed.artifacts.fetch(checkpoint)
    assert saved.tensors[f"model/{COUNTS[0]}"].item() == saved.metadata["step"]
    train(killed)
    train(undisturbed)
    first, second = (
        job.artifacts.bindings()[Ref("experts/0")].digest for job in (killed, undisturbed)
    )
    assert first == second


def test_router_and_baseline_of_a_classifier_are_trained_too() -> None:
    job = divided()
    baseline.run(job.baseline_order(), job.context("baseline"))
    router.run(job.router_order(), job.context("router"))
    assert {"baseline", "router"} <= set(job.artifacts.bindings())


def test_an_island_with_fewer_samples_than_a_batch_trains() -> None:
    job = divided(partition_type=Partition(type="Dirichlet", dirichlet=Dirichlet(alpha=0.1)))
    job.batch_size = 1024
    train(job)
    assert expert(job)[COUNTS[0]].item() == 60
