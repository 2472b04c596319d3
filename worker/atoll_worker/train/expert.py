"""Train one expert: the losses it learns from, and the losses it is judged by."""

import copy
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from atoll_api.names import StepName
from atoll_api.spec.exchange import Encoding
from atoll_api.work_order import TrainingOrder
from atoll_worker import device
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.part import Part
from atoll_worker.exchange.encoding import received
from atoll_worker.ports import Artifact, Base
from atoll_worker.tasks.base import Batch, Inputs, Task
from atoll_worker.train.initial import base_of, starting_model
from atoll_worker.train.loop import LoopSettings, LossFunction, TrainingState
from atoll_worker.train.protocol_check import try_task
from atoll_worker.train.seeds import derive
from atoll_worker.train.session import Run, World, train

_JUDGED_INPUTS = 4096
"""Corrupted samples that a holdout loss is a mean of: a small part is taken several times."""
_JUDGED_BATCH = 512

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExpertJob:
    """One expert to train.

    Attributes:
        order: task, data, training, seed and step.
        name: for messages, such as `island 2`.
        island: whose expert; None for the baseline and the seed.
        steps: optimizer steps.
        batch_size: samples a step.
        train: what it may learn from.
        holdout: what it is judged on.
    """

    order: TrainingOrder
    name: str
    island: int | None
    steps: int
    batch_size: int
    train: Part
    holdout: Part


def train_expert(job: ExpertJob, task: Task, dataset: Dataset, world: World) -> Artifact:
    """Train, judge before and after, and describe; the partition is not among the parents yet.

    The expert is the moving average of the weights, as its readers will have it: what is judged
    is what is published. `gatePassed` says whether its holdout loss is below that of what it began
    with, the seed or the initialization: an expert that is not is reported, not hidden.

    Raises:
        NotFiniteError: the loss became NaN or infinite.
        DisruptedError: told to stop; a checkpoint is saved.
        BadTaskError: the task breaks its protocol.
        RejectedError: a Delta is asked for, and its base is not bound; or there is no seed.
        ContractError: the seed's weights do not fit.
    """
    order, artifacts = job.order, world.context.artifacts
    initial, seed = starting_model(order, artifacts, task, dataset)
    base = base_of(order, artifacts, task, dataset, seed)
    flops = flops_per_sample(task, initial, job.train, job.batch_size)
    before = holdout_loss(task, initial, job)
    run = Run(
        step_name=StepName(order.step),
        settings=_loop_settings(job),
        batch_size=job.batch_size,
        checkpoint_seconds=order.training.checkpoint.every_seconds,
        tokens_per_sample=order.task.context or 0,
    )
    state = train(
        run,
        lambda: copy.deepcopy(initial),
        expert_loss(task, job.train, job.batch_size),
        world,
    )
    expert = averaged(state, order.encoding, base)
    after = holdout_loss(task, expert, job)
    _log.info("holdout loss %.4g, before training %.4g", after, before)
    world.context.tally.loss_is("holdout", after)
    metadata: dict[str, JsonValue] = {
        **training_metadata(state, job.steps, job.batch_size),
        "island": job.island,
        "contract": dict(task.contract()),
        "initialHoldoutLoss": before,
        "finalHoldoutLoss": after,
        "gatePassed": after < before,
        "flopsPerSample": flops,
    }
    parents = () if seed is None else (seed.digest,)
    return Artifact(expert.state_dict(), metadata, parents, order.encoding, base)


def flops_per_sample(task: Task, model: nn.Module, part: Part, batch_size: int) -> int:
    """FLOPs of forward and backward of one sample, counted on a batch.

    Raises:
        BadTaskError: the task breaks its protocol.
    """
    return try_task(task, model, probe_batch(part, batch_size))[1] // batch_size


def probe_batch(part: Part, batch_size: int) -> Batch:
    """The first samples of a part, from the start again when it is smaller than a batch."""
    return part.rows(torch.arange(batch_size) % len(part))


def expert_loss(task: Task, part: Part, batch_size: int) -> LossFunction:
    """The mean loss of a batch drawn from a part."""

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        batch, _ = part.draw(batch_size, generator)
        inputs = device.follow(task.corrupt(batch, generator), model)
        return task.losses(task.predict(model, inputs), inputs).mean()

    return loss_of


def holdout_loss(task: Task, model: nn.Module, job: ExpertJob) -> float:
    """Mean loss on the holdout, over all noise levels; the same noise for every model."""
    seed = derive(job.order.seed, "holdout", job.island or 0)
    total, count = 0.0, 0
    model.eval()
    with device.placed(model), torch.inference_mode():
        for drawn, _ in judged_inputs(task, job.holdout, seed):
            inputs = device.follow(drawn, model)
            losses_B = task.losses(task.predict(model, inputs), inputs)
            total += float(losses_B.sum(dtype=torch.float64))
            count += len(losses_B)
    model.train()
    return total / count


def judged_inputs(task: Task, part: Part, seed: int) -> Iterator[tuple[Inputs, Tensor]]:
    """Corrupted samples of a part and their positions, every sample equally often.

    Once, where the task draws nothing: a second time would give the same.
    """
    generator = torch.Generator().manual_seed(seed)
    untouched = generator.get_state()
    for _ in range(max(1, math.ceil(_JUDGED_INPUTS / len(part)))):
        for index_B in torch.split(torch.arange(len(part)), _JUDGED_BATCH):
            yield task.corrupt(part.rows(index_B), generator), index_B
        if torch.equal(generator.get_state(), untouched):
            return


def averaged(state: TrainingState, encoding: Encoding, base: Base | None = None) -> nn.Module:
    """A copy of the model on the CPU with the averaged weights, as they will arrive."""
    model = copy.deepcopy(state.model).to(device.CPU)
    average = state.ema.state()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(average[name])
    model.load_state_dict(received(model.state_dict(), encoding, base))
    return model


def training_metadata(state: TrainingState, steps: int, batch_size: int) -> dict[str, JsonValue]:
    """What every trained model's manifest says of its training."""
    return {
        "step": steps,
        "samplesSeen": steps * batch_size,
        "lossCurve": [[step, loss] for step, loss in state.curve],
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
    }


def _loop_settings(job: ExpertJob) -> LoopSettings:
    training = job.order.training
    return LoopSettings(
        name=job.name,
        steps=job.steps,
        optimizer=training.optimizer,
        ema_decay=training.ema.decay,
        seed=job.order.seed,
        purpose="expert" if job.island is not None else job.order.step,
        island=job.island or 0,
        implementation=job.order.optimizer_implementation,
    )
