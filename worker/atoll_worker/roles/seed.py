"""The seed role: train one model on all data, from which all experts and the baseline go on.

Experts that begin apart cannot be averaged, and a short training alone is mostly spent on what is
common to all parts (Branch-Train-Merge, Li et al., arXiv 2208.03306, section 3).
"""

from atoll_api import names
from atoll_api.work_order import SeedOrder
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Context
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.expert import ExpertJob, train_expert
from atoll_worker.train.origin import Origin
from atoll_worker.train.session import World, use_threads


def run(order: SeedOrder, context: Context) -> None:
    """Publish `seed`; returns at once when it is bound already.

    Raises:
        WorkerError: see `train.expert.train_expert`; ContractError when the data here are not
            the data that were divided.
    """
    if names.SEED_REF in context.artifacts.bindings(names.SEED_REF):
        return
    use_threads(order.threads)
    task = load_task(order.task)
    dataset = load(order.data, order.task.context)
    origin = Origin.fetch(context.artifacts, names.ASSIGNMENT_REF, dataset)
    job = ExpertJob(
        order=order,
        name="seed",
        island=None,
        steps=order.steps,
        batch_size=order.count * order.training.batch_size_per_island,
        train=Part.of(dataset, dataset.train),
        holdout=Part.of(dataset, dataset.holdout),
    )
    meter = WireMeter(order.hub, own_port=context.tally.port)
    model = train_expert(job, task, dataset, World(context, meter))
    origin.publish(context.artifacts, names.SEED_REF, order.role, model)
