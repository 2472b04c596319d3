"""The router role: learn which island's data an input comes from.

The one job that reads the data of all islands; it never sees an expert.
"""

from typing import Any

from pydantic import JsonValue

from atoll_api import names
from atoll_api.names import StepName
from atoll_api.spec.training import Optimizer
from atoll_api.work_order import RouterOrder
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.ensemble.router import RouterNet
from atoll_worker.exchange.wire import WireMeter
from atoll_worker.ports import Artifact, Context
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.expert import averaged, probe_batch, training_metadata
from atoll_worker.train.initial import initial_model
from atoll_worker.train.loop import LoopSettings, TrainingState
from atoll_worker.train.origin import Origin
from atoll_worker.train.protocol_check import try_task
from atoll_worker.train.routing import (
    build_router,
    calibration,
    judge,
    router_flops_per_sample,
    router_loss,
)
from atoll_worker.train.seeds import derive
from atoll_worker.train.session import Run, World, train, use_threads


def run(order: RouterOrder, context: Context) -> None:
    """Publish `router`; returns at once when it is bound already.

    Raises:
        WorkerError: as for an island; see `train.expert.train_expert`.
    """
    if names.ROUTER_REF in context.artifacts.bindings(names.ROUTER_REF):
        return
    use_threads(order.threads)
    task = load_task(order.task)
    dataset = load(order.data, order.task.context)
    origin = Origin.fetch(context.artifacts, names.ASSIGNMENT_REF, dataset)
    assignment = Assignment.from_artifact(origin.partition, dataset)
    part = Part.of(dataset, dataset.train)
    model = initial_model(task, dataset, order.seed)
    inputs, _ = try_task(task, model, probe_batch(part, order.router.batch_size))

    def fresh() -> RouterNet:
        return build_router(dataset.sample, inputs, order.count, order.router, order.seed)

    loss_of = router_loss(task, part, assignment.train_island_N, order.router.batch_size)
    meter = WireMeter(order.hub, own_port=context.tally.port)
    state = train(_run(order), fresh, loss_of, World(context, meter))
    judged = _judged(order, task, state, assignment, Part.of(dataset, dataset.holdout))
    context.tally.loss_is("holdout", judged["crossEntropy"])
    context.tally.router_is_right(judged["accuracy"])
    trained = Artifact(
        averaged(state, order.encoding).state_dict(),
        {
            **_metadata(order, task, state, assignment, judged),
            "flopsPerSample": router_flops_per_sample(fresh(), inputs),
        },
        encoding=order.encoding,
    )
    origin.publish(context.artifacts, names.ROUTER_REF, order.role, trained)


def _run(order: RouterOrder) -> Run:
    settings = LoopSettings(
        name="router",
        steps=order.router.steps,
        optimizer=Optimizer(learning_rate=order.router.learning_rate),
        ema_decay=order.training.ema.decay,
        seed=order.seed,
        purpose="router",
        implementation=order.optimizer_implementation,
    )
    every_seconds = order.training.checkpoint.every_seconds
    tokens = order.task.context or 0
    return Run(StepName(order.step), settings, order.router.batch_size, every_seconds, tokens)


def _judged(
    order: RouterOrder, task: Task, state: TrainingState, assignment: Assignment, holdout: Part
) -> dict[str, Any]:
    seed = derive(order.seed, "router-holdout")
    model = averaged(state, order.encoding)
    return dict(calibration(judge(task, model, holdout, assignment.holdout_island_N, seed)))


def _metadata(
    order: RouterOrder,
    task: Task,
    state: TrainingState,
    assignment: Assignment,
    judged: dict[str, JsonValue],
) -> dict[str, JsonValue]:
    total = sum(assignment.sizes)
    return {
        **training_metadata(state, order.router.steps, order.router.batch_size),
        "count": order.count,
        "width": order.router.width,
        "depth": order.router.depth,
        "contract": dict(task.contract()),
        "prior": [size / total for size in assignment.sizes],
        "holdout": judged,
    }
