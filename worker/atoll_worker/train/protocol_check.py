"""A user's task is tried once before it is trained with: errors name what it broke."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from atoll_worker import device
from atoll_worker.errors import BadTaskError, WorkerError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec, Task
from atoll_worker.tasks.registry import one_line
from atoll_worker.train.flops import training_flops


def build_model(task: Task, sample: SampleSpec, seed: int) -> nn.Module:
    """A new model, the same for the same seed; torch's global generator is left as it was.

    Raises:
        BadTaskError: the task raises, or returns no module with parameters.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model: object = task.build_model(sample)
        except WorkerError:
            raise
        except Exception as error:  # a user's task may raise anything
            raise _broken("build_model", f"raised {one_line(error)}") from error
    if not isinstance(model, nn.Module) or not any(p.requires_grad for p in model.parameters()):
        raise _broken("build_model", "must return an nn.Module with parameters to train")
    return model


def try_task(task: Task, model: nn.Module, batch: Batch) -> tuple[Inputs, int]:
    """Run one training step's calls on a copy of the model, on the device.

    Returns:
        The inputs that `corrupt` made, and the FLOPs of forward and backward of this batch.

    Raises:
        BadTaskError: a call raises, or returns something of the wrong shape.
    """
    _check_contract(task)
    trial = copy.deepcopy(model).to(device.chosen())
    kept: list[Inputs] = []

    def loss() -> Tensor:
        kept.append(_corrupt(task, batch))
        return _losses(task, trial, device.follow(kept[-1], trial)).mean()

    with torch.random.fork_rng(devices=device.generators()):
        torch.manual_seed(0)
        try:
            flops = training_flops(loss)
        except (WorkerError, torch.OutOfMemoryError):  # a GPU too small breaks no protocol
            raise
        except Exception as error:  # a user's task may raise anything
            raise _broken("a training step", f"raised {one_line(error)}") from error
    return kept[-1], flops


def _check_contract(task: Task) -> None:
    """It is written into every manifest: better told before the first step than after the last."""
    try:
        contract: object = task.contract()
    except Exception as error:  # a user's task may raise anything
        raise _broken("contract", f"raised {one_line(error)}") from error
    words = contract.items() if isinstance(contract, Mapping) else ((None, None),)
    if not all(isinstance(word, str) for pair in words for word in pair):
        raise _broken("contract", "must return a mapping of text to text")


def _corrupt(task: Task, batch: Batch) -> Inputs:
    inputs: object = task.corrupt(batch, torch.default_generator)
    if not isinstance(inputs, Inputs):
        raise _broken("corrupt", f"must return Inputs, not {type(inputs).__name__}")
    _require_shape("corrupt", "x_BD", inputs.x_BD, batch.x_BD.shape)
    _require_shape("corrupt", "time_B", inputs.time_B, batch.x_BD.shape[:1])
    return inputs


def _losses(task: Task, model: nn.Module, inputs: Inputs) -> Tensor:
    predicted_BD = task.predict(model, inputs)
    _require_shape("predict", "the prediction", predicted_BD, inputs.target_BD.shape)
    losses_B = task.losses(predicted_BD, inputs)
    _require_shape("losses", "the losses", losses_B, inputs.time_B.shape)
    if not losses_B.requires_grad:
        raise _broken("losses", "must depend on the model's parameters: something detached them")
    return losses_B


def _require_shape(method: str, what: str, value: object, shape: torch.Size) -> None:
    if not isinstance(value, Tensor) or value.shape != shape:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise _broken(method, f"{what} must have shape {tuple(shape)}, has {found}")


def _broken(where: str, why: str) -> BadTaskError:
    return BadTaskError(f"the task breaks the Task protocol in {where}: {why}")
