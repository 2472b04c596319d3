"""The island role: train on its own part, alone or with an exchange now and then."""

from torch import Tensor

from atoll_api import names
from atoll_api.work_order import IslandOrder, refs_written
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.load import load
from atoll_worker.data.own import fitted
from atoll_worker.data.part import Part
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Context
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.expert import ExpertJob, train_expert
from atoll_worker.train.member import Member, last_note, train_member
from atoll_worker.train.network import TaskNetwork
from atoll_worker.train.norms import publish_statistics
from atoll_worker.train.origin import Origin
from atoll_worker.train.session import World, use_threads


def run(order: IslandOrder, context: Context) -> None:
    """Publish `experts/<i>`, or what a strategy that merges wants; returns at once when it is there.

    Raises:
        WorkerError: see `train.expert.train_expert` and `train.member.train_member`;
            ContractError when the data here are not the data that were divided,
            BadDataError when its own data do not fit what all agreed on.
    """
    refs = refs_written(order)
    if all(ref in context.artifacts.bindings(ref) for ref in refs):
        return
    use_threads(order.threads)
    task = load_task(order.task)
    dataset, origin = _data(order, context)
    train, holdout = _own_indices(order, dataset, origin)
    job = ExpertJob(
        order=order,
        name=f"island {order.island}",
        island=order.island,
        steps=order.training.steps,
        batch_size=order.training.batch_size_per_island,
        train=Part.of(dataset, train),
        holdout=Part.of(dataset, holdout),
    )
    meets = "island" if order.merging else "other"
    meter = WireMeter(order.hub, unknown=meets, own_port=context.tally.port)
    world = World(context, meter)
    context.tally.isolated(isolated=order.merging is None)
    if order.merging is None:
        expert = train_expert(job, task, dataset, world)
        origin.publish(context.artifacts, names.expert_ref(order.island), order.role, expert)
        return
    assert context.neighbourhood is not None, "an island that merges has neighbours"
    network = TaskNetwork(order, task, dataset, job.train)
    member = Member(job, order, order.merging, context.neighbourhood, network)
    ref, missed = names.final_ref(order.island), ""
    if ref not in context.artifacts.bindings(ref):
        trained = train_member(member, task, dataset, world)
        origin.publish(context.artifacts, ref, order.role, trained)
        missed = last_note(trained)
    publish_statistics(member, task, dataset, world, missed)


def _data(order: IslandOrder, context: Context) -> tuple[Dataset, Origin]:
    dataset = load(order.data, order.task.context)
    ref = names.island_assignment_ref(order.island)
    if not order.brings_data:
        return dataset, Origin.fetch(context.artifacts, ref, dataset)
    origin = Origin.agreed(context.artifacts, ref)
    return fitted(dataset, origin.partition), origin


def _own_indices(order: IslandOrder, dataset: Dataset, origin: Origin) -> tuple[Tensor, Tensor]:
    """What to train on and what to judge by: its part, or all where it brings its own data."""
    if order.brings_data:
        return dataset.train, dataset.holdout
    return origin.partition.tensors["train"], origin.partition.tensors["holdout"]
