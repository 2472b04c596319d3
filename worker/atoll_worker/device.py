"""Where this process computes: on a GPU if it sees one, else on the CPU. Decided once.

What is random is drawn on the CPU, and what leaves the process is on the CPU: batches and noise
stay functions of the seed, and no reader of an artifact needs a GPU. Between the two a model is
moved to the device, and inputs follow the model that they are given to.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from atoll_api import names
from atoll_worker.errors import FinalError, WorkerError
from atoll_worker.tasks.base import Inputs

CPU = torch.device("cpu")
_CUDA = torch.device("cuda", 0)
"""AMD's too, by torch's name for them."""
_GIB = 2**30


@cache
def chosen() -> torch.device:
    """Where models are trained and asked; `ATOLL_DEVICE` may say cpu, or insist on cuda.

    Raises:
        FinalError: it says something else.
        WorkerError: it insists on a GPU that is not there; another node may have one.
    """
    said = os.environ.get(names.ENV_DEVICE, "")
    if said not in ("", "cpu", "cuda"):
        raise FinalError(
            f"{names.ENV_DEVICE} is {said!r}: say cpu or cuda, or nothing to use a GPU if there is one"
        )
    if said == "cpu" or not (torch.cuda.is_available() or said):
        return CPU
    if not torch.cuda.is_available():
        raise WorkerError(
            f"{names.ENV_DEVICE} is cuda, and torch {torch.__version__} sees no GPU: check the "
            "driver and the image, or leave it out"
        )
    _repeat_exactly()
    return _CUDA


def _repeat_exactly() -> None:
    """The same seed gives the same bits on GPUs of one type, so that a resumed run does too.

    An operation that cannot is refused by name in the trial step. A task that accepts that says so
    itself, in its constructor: it comes after this.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(True)
    # To fill memory that nothing reads costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def named() -> str:
    """For people: the GPU, or the CPU with the threads that it has."""
    if chosen() == CPU:
        return f"the CPU, threads: {torch.get_num_threads()}"
    return torch.cuda.get_device_name(chosen())


def described() -> str:
    """For people: the GPU and the most memory that was in use; empty on a CPU."""
    if chosen() == CPU:
        return ""
    peak = torch.cuda.max_memory_allocated(chosen()) / _GIB
    return f"on {torch.cuda.get_device_name(chosen())}, at most {peak:.1f} GiB of it"


def memory() -> tuple[int, int] | None:
    """Bytes of the GPU that torch holds now, and the most that tensors took; None on a CPU."""
    if chosen() == CPU:
        return None
    return torch.cuda.memory_reserved(chosen()), torch.cuda.max_memory_allocated(chosen())


def generators() -> list[torch.device]:
    """The devices beside the CPU whose generator a seeded step changes: for `fork_rng`."""
    return [] if chosen() == CPU else [chosen()]


def seed_dropout(seed: int) -> None:
    """Seed what a model itself draws on the device; the CPU's generator is the caller's."""
    if chosen() != CPU:
        torch.cuda.manual_seed(seed)


def of(model: nn.Module) -> torch.device:
    """Where a model is."""
    return next((it.device for it in model.parameters()), CPU)


@contextmanager
def placed(model: nn.Module) -> Iterator[None]:
    """While this lasts the model is on the device; then it is where it was."""
    before = of(model)
    model.to(chosen())
    try:
        yield
    finally:
        model.to(before)


def follow(inputs: Inputs, model: nn.Module) -> Inputs:
    """Inputs where the model is; the same object if they are there. Nothing waits for the copy."""
    where = of(model)
    moved = {
        field.name: _moved(value, where)
        for field in dataclasses.fields(inputs)
        if isinstance(value := getattr(inputs, field.name), Tensor) and value.device != where
    }
    return dataclasses.replace(inputs, **moved) if moved else inputs


def beside(tensor: Tensor, model: nn.Module) -> Tensor:
    """A tensor where the model is."""
    return _moved(tensor, of(model))


def _moved(tensor: Tensor, where: torch.device) -> Tensor:
    if where.type != "cuda" or tensor.device != CPU:
        return tensor.to(where)
    # Pinned, else the CPU would wait for the GPU and not prepare the next batch meanwhile.
    return tensor.pin_memory().to(where, non_blocking=True)


def on_cpu(tensors: Mapping[str, Tensor], *, copy: bool = False) -> dict[str, Tensor]:
    """Tensors on the CPU: those that are there as they are, unless a copy is asked for."""
    return {name: it.detach().to(CPU, copy=copy) for name, it in tensors.items()}
