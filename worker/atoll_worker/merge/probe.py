"""What networks are shown to see which of their units are alike.

Gaussian noise does as well as data, or better, and no data have to be the same anywhere.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atoll_worker.tasks.base import Batch, Inputs, Task
from atoll_worker.train.seeds import derive

_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Probe:
    """Inputs, and how a network is asked about them."""

    inputs: Inputs
    forward: Callable[[nn.Module, Inputs], object]
    """`predict` of the task."""

    def chunks(self) -> Iterator[Inputs]:
        """The inputs, a few at a time, in parts of equal length."""
        whole = self.inputs
        parts = math.ceil(len(whole.x_BD) / _ROWS_AT_ONCE)
        for rows_B in torch.tensor_split(torch.arange(len(whole.x_BD)), parts):
            label_B = None if whole.label_B is None else whole.label_B[rows_B]
            yield Inputs(whole.x_BD[rows_B], whole.target_BD[rows_B], whole.time_B[rows_B], label_B)


def gaussian_probe(task: Task, like: Batch, samples: int, seed: int) -> Probe:
    """Noise in the shape of samples, corrupted as the task does it; equal seeds, equal probes.

    Args:
        task: decides on noise levels and conditions.
        like: any batch of the data, for its shapes and classes: its values are not looked at.
            Samples of integers are tokens, and are drawn uniformly.
        samples: how many to draw; labels are drawn uniformly from all classes.
        seed: of the job.
    """
    generator = torch.Generator().manual_seed(derive(seed, "probe"))
    shape = (samples, *like.x_BD.shape[1:])
    label_B = None
    if like.label_B is not None:
        label_B = torch.randint(max(1, like.num_classes), (samples,), generator=generator)
    batch = Batch(_noise(shape, like.x_BD.dtype, generator), label_B, like.num_classes)
    return Probe(task.corrupt(batch, generator), task.predict)


def sample_probe(task: Task, batch: Batch, seed: int) -> Probe:
    """Own samples, corrupted as the task does it."""
    generator = torch.Generator().manual_seed(derive(seed, "probe"))
    return Probe(task.corrupt(batch, generator), task.predict)


def _noise(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=dtype)
    return torch.randint(torch.iinfo(torch.uint8).max + 1, shape, generator=generator).to(dtype)
