"""The Task protocol: all that Atoll asks of a model, and all that a user implements.

Training, routing and evaluating are derived from five methods:

    batch --corrupt--> Inputs --predict--> prediction --losses--> one loss a sample
    island:   minimise losses(predict(model, inputs), inputs).mean()
    router:   p(island | inputs.x, inputs.time[, inputs.label])
    ensemble: sum_k p(k | inputs) predict(expert_k, inputs), scored by the same losses

The router sees exactly what an expert sees, so the noise contract cannot differ between them.

Shape suffixes: B batch, D the sample's own dimensions (one or more).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SampleSpec:
    """What one sample of the dataset is."""

    shape: tuple[int, ...]
    """Without the batch: (64,) or (channels, height, width)."""
    num_classes: int
    """0 when the data have no labels."""


@dataclass(frozen=True)
class Batch:
    """Samples as the dataset has them."""

    x_BD: Tensor
    """float32, scaled to [-1, 1] for images; uint8 tokens (B, L) for text."""
    label_B: Tensor | None
    """int64, or None when the data have no labels."""
    num_classes: int = 0
    """Labels are below it; 0 when the data have no labels."""


@dataclass(frozen=True)
class Inputs:
    """What a model is given, and what it should answer."""

    x_BD: Tensor
    """What the model sees; for diffusion the noisy sample x_t."""
    target_BD: Tensor
    """What it should predict, shaped like the prediction."""
    time_B: Tensor
    """Noise level in [0, 1], 1 is pure noise; zeros for a task without noise."""
    label_B: Tensor | None
    """Given to the model as a condition, or None."""


@runtime_checkable
class Task(Protocol):
    """A model and its loss. Pure: all randomness comes from the generator it is given."""

    def build_model(self, sample: SampleSpec) -> nn.Module:
        """A new model. Called with torch's global seed fixed; the only place that may use it."""
        ...

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:
        """Make a training input; a supervised task returns `batch.x_BD` and a target."""
        ...

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """The model's answer, shaped like `inputs.target_BD`.

        The answers of several experts are averaged by their probabilities: return something
        whose weighted mean has a meaning (a velocity, a probability, a value; not a logit).
        """
        ...

    def losses(self, predicted_BD: Tensor, inputs: Inputs) -> Tensor:
        """One loss a sample, shape (B,)."""
        ...

    def contract(self) -> Mapping[str, str]:
        """What experts and router must share to be combined; written into every manifest."""
        ...


@runtime_checkable
class Measured(Protocol):
    """What a Task may have beside its five methods: scores to report next to the loss."""

    def measures(self, predicted_BD: Tensor, inputs: Inputs) -> Mapping[str, Tensor]:
        """Scores of each sample by name, each of shape (B,), such as `accuracy`.

        Their mean over the holdout is reported; nothing is trained or chosen by them.
        """
        ...
