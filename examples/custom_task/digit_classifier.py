"""A classifier as an Atoll task: p(class | image), each island an expert for its own images.

p(class | x) = sum_k p(island k | x) p_k(class | x): what the router gives is what is needed.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_worker.tasks.base import Batch, Inputs, SampleSpec


class DigitClassifier:
    """Implements `atoll_worker.tasks.base.Task`; nothing to inherit from."""

    def __init__(self, hidden: str = "32", noise: str = "0.1") -> None:
        self.hidden = int(hidden)
        self.noise = float(noise)

    def build_model(self, sample: SampleSpec) -> nn.Module:
        """Logits of the classes."""
        inputs = math.prod(sample.shape)
        layers = [nn.Flatten(), nn.Linear(inputs, self.hidden), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden, sample.num_classes))

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:
        """A slightly noisy image, and its class as one-hot target; the model is told no label."""
        assert batch.label_B is not None, "this task needs labels"
        noise_BD = torch.randn(batch.x_BD.shape, generator=generator)
        target_BC = F.one_hot(batch.label_B, 10).float()
        time_B = torch.zeros(len(batch.x_BD))
        return Inputs(batch.x_BD + self.noise * noise_BD, target_BC, time_B, None)

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """Probabilities: their weighted mean over experts has a meaning, a logit's has none."""
        logits_BC: Tensor = model(inputs.x_BD)
        return logits_BC.softmax(dim=1)

    def losses(self, predicted_BC: Tensor, inputs: Inputs) -> Tensor:
        """Negative log-likelihood of the class."""
        return -(predicted_BC * inputs.target_BD).sum(dim=1).clamp_min(1e-12).log()

    def contract(self) -> Mapping[str, str]:
        """What experts and router must share."""
        return {"task": "DigitClassifier", "noise": str(self.noise)}
