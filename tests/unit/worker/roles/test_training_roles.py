"""Partition, island, router and baseline, run in this process over a hub in memory."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import SmallJob, metadata_of, save_npz

from atoll_api.names import Ref, expert_ref, island_assignment_ref
from atoll_api.spec.partition import Partition
from atoll_api.spec.strategy import LearnedRouter
from atoll_api.spec.training import Optimizer
from atoll_worker.data.load import load
from atoll_worker.errors import (
    BadDataError,
    ContractError,
    DisruptedError,
    NotFiniteError,
    RejectedError,
)
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryStop
from atoll_worker.roles import baseline, island, partition, router


def divided(job: SmallJob) -> SmallJob:
    partition.run(job.partition_order(), job.context("partition"))
    return job


def train_island(job: SmallJob, number: int = 0) -> None:
    island.run(job.island_order(number), job.context(f"island-{number}"))


class Recorder(MemoryArtifacts):
    """Remembers the order of what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def publish(self, ref, artifact):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        self.order.append(ref)
        return super().publish(ref, artifact)


def test_the_whole_assignment_is_bound_last() -> None:
    hub = Recorder()
    job = divided(SmallJob(artifacts=hub, count=3))
    assert hub.order == ["assignment/0", "assignment/1", "assignment/2", "assignment"]
    assert sum(metadata_of(job, "assignment")["sizes"]) == 1437
    assert metadata_of(job, "assignment")["imbalance"] <= 1.05


@pytest.mark.parametrize("gone", ["assignment/1", "assignment"])
def test_a_part_that_was_removed_is_made_again(gone: str) -> None:
    job = divided(SmallJob())
    before = job.artifacts.bindings()
    job.artifacts.drop([Ref(gone)])
    assert divided(job).artifacts.bindings() == before


def test_an_islands_assignment_holds_its_own_samples_and_nothing_else() -> None:
    job = divided(SmallJob())
    whole = job.artifacts.fetch(Ref("assignment"))
    own = job.artifacts.fetch(island_assignment_ref(1))
    train = load(job.data).train[whole.tensors["island_of_sample"] == 1]
    assert torch.equal(own.tensors["train"], train)
    assert set(own.tensors) == {"train", "holdout"}
    assert "sizes" not in own.metadata


def test_a_partition_that_cannot_be_trained_publishes_nothing() -> None:
    job = SmallJob(count=4, batch_size=400)
    with pytest.raises(BadDataError, match="less than one batch of 400"):
        divided(job)
    assert not job.artifacts.bindings()


def test_an_expert_says_what_it_is_and_passes_its_gate() -> None:
    job = divided(SmallJob())
    train_island(job)
    found = metadata_of(job, "experts/0")
    assert found["role"] == "island"
    assert found["island"] == 0
    assert found["step"] == 40
    assert found["samplesSeen"] == 640
    assert found["gatePassed"] is True
    assert found["finalHoldoutLoss"] < found["initialHoldoutLoss"]
    assert found["lossCurve"][-1][0] == 40
    assert found["flopsPerSample"] > 2 * found["parameters"]
    assert found["assignmentHash"] == metadata_of(job, "assignment")["assignmentHash"]
    assert found["contract"]["path"] == "Linear"
    bindings = job.artifacts.bindings()
    assert bindings[expert_ref(0)].parents == (bindings[island_assignment_ref(0)].digest,)
    assert job.reports["island-0"].done == 40


def test_a_bad_expert_is_reported_not_hidden() -> None:
    job = divided(SmallJob(steps=3, optimizer=Optimizer(learning_rate=5.0)))
    train_island(job)
    found = metadata_of(job, "experts/0")
    assert found["gatePassed"] is False
    assert found["finalHoldoutLoss"] >= found["initialHoldoutLoss"]


def test_a_killed_island_ends_at_the_same_digest() -> None:
    job = divided(SmallJob())
    for checks in (11, 5):
        with pytest.raises(DisruptedError):
            island.run(job.island_order(0), job.context("island-0", MemoryStop(checks)))
    train_island(job)
    undisturbed = divided(SmallJob())
    train_island(undisturbed)
    ref = expert_ref(0)
    mine, theirs = (it.artifacts.bindings()[ref].digest for it in (job, undisturbed))
    assert mine == theirs


def test_a_bound_expert_is_not_trained_again() -> None:
    job = divided(SmallJob())
    train_island(job)
    bound = job.artifacts.bindings()[expert_ref(0)]
    train_island(replace(job, steps=99))
    assert job.artifacts.bindings()[expert_ref(0)] == bound


def test_islands_start_from_the_same_weights_and_end_apart() -> None:
    job = divided(SmallJob(steps=1, optimizer=Optimizer(learning_rate=1e-9, weight_decay=0.0)))
    for number in (0, 1):
        train_island(job, number)
    baseline.run(job.baseline_order(), job.context("baseline"))
    refs = (expert_ref(0), expert_ref(1), Ref("baseline"))
    first, second, whole = (job.artifacts.fetch(ref).tensors for ref in refs)
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    assert all(torch.allclose(first[name], whole[name], atol=1e-6) for name in first)
    trained = divided(SmallJob(steps=20))
    for number in (0, 1):
        train_island(trained, number)
    one, two = (trained.artifacts.fetch(expert_ref(number)).tensors for number in (0, 1))
    assert not all(torch.allclose(one[name], two[name], atol=1e-3) for name in one)


def test_other_data_are_refused(tmp_path: Path) -> None:
    job = divided(SmallJob())
    other = replace(job, data=save_npz(tmp_path / "x.npz", x=torch.rand(100, 3)))
    for role in ("island", "router", "baseline"):
        with pytest.raises(ContractError, match="not the data that were divided"):
            run_role(role, other)


def test_without_an_assignment_there_is_nothing_to_train_on() -> None:
    with pytest.raises(RejectedError):
        train_island(SmallJob())


def test_a_loss_that_explodes_names_island_step_and_rate(tmp_path: Path) -> None:
    data = save_npz(tmp_path / "x.npz", x=torch.rand(100, 3) * 1e25)
    job = divided(SmallJob(data=data, count=1, partition=Partition(type="Random")))
    with pytest.raises(NotFiniteError, match=r"island 0: .* by step 1 of 40 .* 0\.001"):
        train_island(job)
    assert expert_ref(0) not in job.artifacts.bindings()


def test_constant_data_train(tmp_path: Path) -> None:
    data = save_npz(tmp_path / "x.npz", x=torch.ones(60, 3))
    job = divided(SmallJob(data=data, partition=Partition(type="Random")))
    for role in ("island", "router", "baseline"):
        run_role(role, job)
    assert metadata_of(job, "experts/0")["gatePassed"] is True


def test_the_baseline_costs_what_the_ensemble_costs() -> None:
    job = divided(SmallJob())
    train_island(job)
    router.run(job.router_order(), job.context("router"))
    baseline.run(job.baseline_order(), job.context("baseline"))
    flops = {
        ref: metadata_of(job, ref)["samplesSeen"] * metadata_of(job, ref)["flopsPerSample"]
        for ref in ("experts/0", "router", "baseline")
    }
    ensemble = job.count * flops["experts/0"] + flops["router"]
    one_step = flops["baseline"] / metadata_of(job, "baseline")["step"]
    assert 0 <= flops["baseline"] - ensemble < one_step
    assert metadata_of(job, "baseline")["island"] is None


@pytest.mark.parametrize("kind", ["FeatureClusters", "Random"])
def test_the_router_knows_clusters_and_cannot_know_random_parts(kind: str) -> None:
    settings = LearnedRouter(steps=150, batch_size=64, width=32, learning_rate=5e-3)
    job = divided(SmallJob(partition=Partition.model_validate({"type": kind}), router=settings))
    router.run(job.router_order(), job.context("router"))
    found = metadata_of(job, "router")
    assert sum(found["prior"]) == pytest.approx(1.0)
    assert found["contract"]["path"] == "Linear"
    accuracy = [one["accuracy"] for one in found["holdout"]["byTime"]]
    if kind == "FeatureClusters":
        assert accuracy[0] > 0.85
        assert found["holdout"]["crossEntropy"] < math.log(2)
        assert accuracy[0] > accuracy[-1]
    else:
        assert max(accuracy) < 0.7


def test_one_island_alone() -> None:
    job = divided(SmallJob(count=1))
    for role in ("island", "router", "baseline"):
        run_role(role, job)
    assert metadata_of(job, "router")["holdout"]["accuracy"] == 1.0
    assert metadata_of(job, "baseline")["step"] > 40


def run_role(role: str, job: SmallJob) -> None:
    match role:
        case "island":
            train_island(job)
        case "router":
            router.run(job.router_order(), job.context("router"))
        case _:
            baseline.run(job.baseline_order(), job.context("baseline"))
