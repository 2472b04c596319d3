"""What a network is told beside the sample: its time and, optionally, its class."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from atoll_worker.tasks.structure import Layer, Units


class TimeEmbedding(nn.Module):
    """Sines and cosines of 1000 t (Vaswani et al., arXiv 1706.03762, 3.5), then a small MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = (width + 1) // 2
        spread = torch.arange(half) / max(half - 1, 1)
        # Not persistent: it is a function of the width, so no artifact need carry it.
        self.register_buffer("frequency", 1000.0 * torch.exp(-math.log(1e4) * spread), False)
        self.mlp = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time_B: Tensor) -> Tensor:
        """Embed times (B,) in [0, 1] as (B, width)."""
        angle = time_B[:, None] * self.get_buffer("frequency")
        embedded: Tensor = self.mlp(torch.cat((angle.sin(), angle.cos()), dim=1))
        return embedded


class Condition(nn.Module):
    """The time embedding plus, where there are classes, one learned vector a class."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.label = nn.Embedding(num_classes, width) if num_classes else None

    def forward(self, time_B: Tensor, label_B: Tensor | None) -> Tensor:
        """(B, width), or (1, width) for one time and no label; both broadcast.

        A sampler's steps have one time for all samples, expanded: it is embedded once, which
        saves a third of the forward pass.
        """
        shared = time_B.stride(0) == 0
        embedded: Tensor = self.time(time_B[:1] if shared else time_B)
        if self.label is None or label_B is None:
            return embedded
        label_BW: Tensor = self.label(label_B)
        return embedded + label_BW

    def layers(self, prefix: str, units: Units) -> Iterator[Layer]:
        """What of it is interchangeable, for the structure of the network it is a part of.

        Args:
            prefix: its name in that network.
            units: what it writes.
        """
        hidden = Units(f"{prefix}.hidden", units.count)
        yield Layer(f"{prefix}.time.mlp.0", writes=hidden)
        yield Layer(f"{prefix}.time.mlp.2", reads=hidden, writes=units)
        if self.label is not None:
            yield Layer(f"{prefix}.label", writes=units)
