"""Hidden layers of one width, each with a norm and a ReLU."""

import itertools
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import ClassifierMlpSettings
from atoll_worker.tasks.classification.norms import Normalization, vector_norm
from atoll_worker.tasks.structure import Layer, Structure, Units, structure_of


class ClassifierMlp(nn.Module):
    """Flattened samples (B, ...) to logits (B, classes)."""

    def __init__(
        self, in_features: int, classes: int, settings: ClassifierMlpSettings, norm: Normalization
    ) -> None:
        super().__init__()
        width = settings.width
        widths = [in_features] + [width] * settings.depth
        self.layers = nn.ModuleList(
            nn.Linear(reads, writes) for reads, writes in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(vector_norm(norm, width) for _ in self.layers)
        self.leave = nn.Linear(width, classes)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Samples (B, ...) to logits (B, classes)."""
        hidden_BW = x_BD.flatten(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden_BW = F.relu(norm(layer(hidden_BW)))
        logits_BC: Tensor = self.leave(hidden_BW)
        return logits_BC

    def structure(self) -> Structure:
        """Every hidden unit is free."""
        return structure_of(self, self._layers())

    def _layers(self) -> Iterator[Layer]:
        before: Units | None = None
        for index in range(len(self.layers)):
            units = Units(f"hidden.{index}", self.leave.in_features)
            yield Layer(f"layers.{index}", reads=before, writes=units)
            yield Layer(f"norms.{index}", writes=units)
            before = units
        yield Layer("leave", reads=before)
