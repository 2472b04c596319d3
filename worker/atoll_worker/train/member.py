"""Train one island of a strategy that merges, and describe its last weights."""

import logging
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from torch import nn

from atoll_api.names import StepName
from atoll_api.spec.merging import IterativeMerge
from atoll_api.work_order import IslandOrder, MergingOrder
from atoll_worker import device
from atoll_worker.data.dataset import Dataset
from atoll_worker.exchange.encoding import received
from atoll_worker.merge.course import Course, GossipCourse, MixingCourse
from atoll_worker.ports import Artifact, Base, Neighbourhood
from atoll_worker.tasks.base import Task
from atoll_worker.train.expert import (
    ExpertJob,
    expert_loss,
    flops_per_sample,
    holdout_loss,
    training_metadata,
)
from atoll_worker.train.initial import bound_initialization, initial_model, own_model
from atoll_worker.train.loop import LoopSettings
from atoll_worker.train.merging import Merging, Network, Rules
from atoll_worker.train.session import Run, World, train

LAST_WEIGHTS = 0.0
"""A moving average of decay 0: what is merged are the weights themselves."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """One island and its place among the others.

    Attributes:
        job: what it trains on.
        order: how it trains and merges.
        around: where it offers its weights and takes others'.
        network: what merging has to know of the model.
    """

    job: ExpertJob
    order: IslandOrder
    merging: MergingOrder
    around: Neighbourhood
    network: Network


def course_of(merging: MergingOrder, steps: int, seed: int) -> Course:
    """The rounds of a strategy."""
    settings = merging.settings
    if isinstance(settings, IterativeMerge):
        return MixingCourse(settings, merging.count, steps)
    return GossipCourse(settings, merging.count, steps, seed)


def train_member(member: Member, task: Task, dataset: Dataset, world: World) -> Artifact:
    """Train, exchange, judge before and after, and describe; without parents and partition yet.

    Raises:
        NotFiniteError: the loss became NaN or infinite.
        DisruptedError: told to stop; a checkpoint is saved.
        BadTaskError: the task breaks its protocol.
        RejectedError: the initialization is shared, and nothing is bound to `init`.
        ContractError: weights are to be aligned, and the network does not say how.
    """
    job, order = member.job, member.order
    base = _shared(member, task, dataset, world)

    def fresh() -> nn.Module:
        if base is None:
            return own_model(task, dataset, order.seed, order.island)
        model = initial_model(task, dataset, order.seed)
        model.load_state_dict(dict(base.artifact.tensors))
        return model

    flops = flops_per_sample(task, fresh(), job.train, job.batch_size)
    before = holdout_loss(task, fresh(), job)
    rules = _rules(member, base)
    context = world.context
    merging = Merging(
        rules, context.artifacts, member.around, member.network, context.clock, context.tally
    )
    loss_of = expert_loss(task, job.train, job.batch_size)
    state = train(_run(member), fresh, loss_of, world, merging)
    last = device.on_cpu(state.model.state_dict())
    tensors = received(last, order.encoding, rules.base)
    state.model.load_state_dict(tensors)
    after = holdout_loss(task, state.model, job)
    _log.info("holdout loss %.4g, before training %.4g", after, before)
    world.context.tally.loss_is("holdout", after)
    metadata: dict[str, JsonValue] = {
        **training_metadata(state, job.steps, job.batch_size),
        "island": order.island,
        "trainSamples": len(job.train),
        "rounds": list(state.history),
        "contract": dict(task.contract()),
        "initialHoldoutLoss": before,
        "finalHoldoutLoss": after,
        "gatePassed": after < before,
        "flopsPerSample": flops,
    }
    return Artifact(dict(tensors), metadata, encoding=order.encoding, base=rules.base)


def last_note(trained: Artifact) -> str:
    """What a person should know of the last round in which somebody was missing; empty if none."""
    history: Any = trained.metadata["rounds"]
    return next((str(it["note"]) for it in reversed(history) if "note" in it), "")


def _shared(member: Member, task: Task, dataset: Dataset, world: World) -> Base | None:
    """What all islands begin with; None where each has its own."""
    if member.merging.settings.initialization == "Independent":
        return None
    return bound_initialization(world.context.artifacts, task, dataset, member.order.seed)


def _rules(member: Member, base: Base | None) -> Rules:
    order, settings = member.order, member.merging.settings
    iterative = settings if isinstance(settings, IterativeMerge) else None
    return Rules(
        island=order.island,
        course=course_of(member.merging, order.training.steps, order.seed),
        deadline_seconds=settings.round_deadline_seconds,
        encoding=order.encoding,
        base=base if order.encoding == "Delta" else None,
        init_digest=base.digest if base else "",
        align=iterative.alignment.when if iterative else "Never",
        repair=iterative is not None and iterative.alignment.repair,
        outer=iterative.mix.outer_nesterov if iterative else None,
        reset_optimizer=iterative is not None and iterative.optimizer_state == "Reset",
        reestimate=settings.norm_statistics == "Reestimate",
        mutual=iterative is not None,
    )


def _run(member: Member) -> Run:
    job, training = member.job, member.order.training
    settings = LoopSettings(
        name=job.name,
        steps=job.steps,
        optimizer=training.optimizer,
        ema_decay=LAST_WEIGHTS,
        seed=member.order.seed,
        purpose="expert",
        island=member.order.island,
        implementation=member.order.optimizer_implementation,
    )
    step = StepName(member.order.step)
    tokens = member.order.task.context or 0
    return Run(step, settings, job.batch_size, training.checkpoint.every_seconds, tokens)
