"""The island role: train one expert on its own part, alone."""

from atoll_api import names
from atoll_api.work_order import IslandOrder
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Context
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.expert import ExpertJob, train_expert
from atoll_worker.train.origin import Origin
from atoll_worker.train.session import World, use_threads


def run(order: IslandOrder, context: Context) -> None:
    """Publish `experts/<i>`; returns at once when it is bound already.

    Raises:
        WorkerError: see `train.expert.train_expert`; ContractError when the data here are not
            the data that were divided.
    """
    ref = names.expert_ref(order.island)
    if ref in context.artifacts.bindings(ref):
        return
    use_threads(order.threads)
    task = load_task(order.task)
    dataset = load(order.data, order.task.context)
    origin = Origin.fetch(context.artifacts, names.island_assignment_ref(order.island), dataset)
    job = ExpertJob(
        order=order,
        name=f"island {order.island}",
        island=order.island,
        steps=order.training.steps,
        batch_size=order.training.batch_size_per_island,
        train=Part.of(dataset, origin.partition.tensors["train"]),
        holdout=Part.of(dataset, origin.partition.tensors["holdout"]),
    )
    expert = train_expert(job, task, dataset, World(context, WireMeter(order.hub)))
    origin.publish(context.artifacts, ref, order.role, expert)
