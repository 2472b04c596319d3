"""The baseline role: one model of an expert's size, on all data, with the ensemble's FLOPs."""

import math

from atoll_api import names
from atoll_api.work_order import BaselineOrder
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Context
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.expert import ExpertJob, probe_batch, train_expert
from atoll_worker.train.initial import initial_model
from atoll_worker.train.origin import Origin
from atoll_worker.train.protocol_check import try_task
from atoll_worker.train.routing import build_router, router_flops_per_sample
from atoll_worker.train.session import World, use_threads


def run(order: BaselineOrder, context: Context) -> None:
    """Publish `baseline`; returns at once when it is bound already.

    Raises:
        WorkerError: see `train.expert.train_expert`; ContractError when the data here are not
            the data that were divided.
    """
    if names.BASELINE_REF in context.artifacts.bindings(names.BASELINE_REF):
        return
    use_threads(order.threads)
    task = load_task(order.task)
    dataset = load(order.data, order.task.context)
    origin = Origin.fetch(context.artifacts, names.ASSIGNMENT_REF, dataset)
    part = Part.of(dataset, dataset.train)
    job = ExpertJob(
        order=order,
        name="baseline",
        island=None,
        steps=matched_steps(order, task, dataset, part),
        batch_size=order.count * order.training.batch_size_per_island,
        train=part,
        holdout=Part.of(dataset, dataset.holdout),
    )
    meter = WireMeter(order.hub, own_port=context.tally.port)
    model = train_expert(job, task, dataset, World(context, meter))
    origin.publish(context.artifacts, names.BASELINE_REF, order.role, model)


def matched_steps(order: BaselineOrder, task: Task, dataset: Dataset, part: Part) -> int:
    """Steps of `count` batches that cost what all experts and the router cost.

    The paper counts the router too (ddm 1.4). A task whose operations have no countable FLOPs
    gets the experts' steps.
    """
    batch_size = order.training.batch_size_per_island
    model = initial_model(task, dataset, order.seed)
    inputs, expert_flops = try_task(task, model, probe_batch(part, batch_size))
    if expert_flops == 0 or order.router is None:
        return order.training.steps
    router = build_router(dataset.sample, inputs, order.count, order.router, order.seed)
    router_flops = router_flops_per_sample(router, inputs)
    router_total = order.router.steps * order.router.batch_size * router_flops
    experts_total = order.count * order.training.steps * expert_flops
    return order.training.steps + math.ceil(order.training.steps * router_total / experts_total)
