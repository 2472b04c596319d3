"""What `spec.exchange.encoding` does: how trained models are published, and nothing else."""

import pytest
import torch
from training import SmallJob

from atoll_api import names
from atoll_api.names import Ref
from atoll_api.spec.exchange import Encoding
from atoll_api.spec.task import CustomTask, Task
from atoll_api.work_order import TrainingOrder
from atoll_worker.errors import BadTaskError, DisruptedError, RejectedError
from atoll_worker.exchange.encoding import encode
from atoll_worker.exchange.memory import MemoryArtifacts, MemoryStop
from atoll_worker.ports import Artifact
from atoll_worker.roles import baseline, island, partition, router

ROUNDING: list[Encoding] = ["BFloat16", "Float16", "Int8", "Delta"]


def divided(encoding: Encoding = "Raw", hub: MemoryArtifacts | None = None) -> SmallJob:
    job = SmallJob(steps=20, artifacts=hub or MemoryArtifacts())
    task = job.task if encoding == "Delta" else None
    order = job.partition_order().model_copy(update={"initialization": task})
    partition.run(order, job.context("partition"))
    return job


def train(job: SmallJob, encoding: Encoding, stop: MemoryStop | None = None) -> None:
    order = job.island_order(0).model_copy(update={"encoding": encoding})
    island.run(order, job.context("island-0", stop))


def encodings(job: SmallJob, ref: str) -> set[str]:
    manifest = encode(job.artifacts.fetch(Ref(ref))).manifest
    return {tensor.encoding for tensor in manifest.tensors if tensor.dtype == "float32"}


@pytest.mark.parametrize("encoding", ROUNDING)
def test_an_expert_is_judged_as_it_is_published(encoding: Encoding) -> None:
    exact, rounded = divided(), divided(encoding)
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
    killed, undisturbed = divided(encoding), divided(encoding)
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


def test_a_delta_of_the_router_has_no_base_so_it_is_exact() -> None:
    job = divided("Delta")
    for role, order in ((baseline, job.baseline_order()), (router, job.router_order())):
        told: TrainingOrder = order.model_copy(update={"encoding": "Delta"})
        role.run(told, job.context(str(told.step)))
    assert encodings(job, "baseline") == {"delta"}
    assert encodings(job, "router") == {"raw"}


class Reader(MemoryArtifacts):
    """Remembers what is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[Ref] = []

    def fetch(self, ref: Ref) -> Artifact:
        self.fetched.append(ref)
        return super().fetch(ref)


def base_named_by(job: SmallJob, ref: str) -> object:
    metadata = job.artifacts.fetch(Ref(ref)).metadata
    return metadata["encoding"]["base"]  # type: ignore[index,call-overload]


def test_an_island_makes_the_base_itself_and_names_it_as_a_parent() -> None:
    hub = Reader()
    job = divided("Delta", hub)
    train(job, "Delta")
    assert hub.fetched == ["assignment/0"]
    bound = hub.bindings()
    init = bound[Ref("init")]
    assert bound[Ref("experts/0")].parents == (bound[Ref("assignment/0")].digest, init.digest)
    assert base_named_by(job, "experts/0") == {"ref": "init", "digest": init.digest}
    assert bound[Ref("experts/0")].size_bytes < init.size_bytes * 0.28


def test_an_island_whose_machine_makes_other_bits_fetches_the_base() -> None:
    hub = Reader()
    job = divided("Delta", hub)
    made = hub.fetch(names.INIT_REF)
    other = {name: tensor * (1 + 2**-23) for name, tensor in made.tensors.items()}
    hub.drop([names.INIT_REF])
    bound = hub.publish(names.INIT_REF, Artifact(other, made.metadata))
    hub.fetched.clear()
    train(job, "Delta")
    assert hub.fetched == ["assignment/0", "init"]
    assert base_named_by(job, "experts/0") == {"ref": "init", "digest": bound.digest}


def test_an_island_that_finds_no_base_says_so_before_it_trains() -> None:
    job = divided()
    with pytest.raises(RejectedError, match=r"nothing is bound to init, .*: start a new job"):
        train(job, "Delta")
    assert not job.artifacts.bindings("checkpoints/")


@pytest.mark.parametrize("encoding", ["Raw", "Int8", "Delta"])
def test_only_a_delta_publishes_the_initialization(encoding: Encoding) -> None:
    assert (names.INIT_REF in divided(encoding).artifacts.bindings()) is (encoding == "Delta")


def test_a_task_that_is_broken_is_told_so_by_the_partition() -> None:
    job = SmallJob(task=Task(type="Custom", custom=CustomTask(entrypoint="no.where:Task")))
    order = job.partition_order().model_copy(update={"initialization": job.task})
    with pytest.raises(BadTaskError, match=r"no\.where"):
        partition.run(order, job.context("partition"))
    assert not job.artifacts.bindings()
