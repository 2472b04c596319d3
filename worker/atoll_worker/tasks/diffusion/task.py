"""The diffusion task: flow matching on any samples, with an MLP or a DiT.

A user who wants another network subclasses `DiffusionTask` and overrides `build_model`.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_api.spec.task import DitSettings, MlpSettings
from atoll_worker.errors import BadDataError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec
from atoll_worker.tasks.diffusion import path
from atoll_worker.tasks.diffusion.dit import DiT
from atoll_worker.tasks.diffusion.mlp import VelocityMlp


class DiffusionTask:
    """Learns the velocity of a noise path (Lipman et al., arXiv 2210.02747, eq. 9)."""

    def __init__(self, settings: DiffusionSettings) -> None:
        self.settings = settings
        self.path = path.named(settings.path)

    @property
    def conditioned(self) -> bool:
        """Whether models are told the class of a sample."""
        return self.settings.conditioning == "Class"

    def build_model(self, sample: SampleSpec) -> nn.Module:
        """The network of `architecture`.

        Raises:
            BadDataError: conditioning on a class that the data do not have.
            BadTaskError: DiT settings that contradict each other.
            ContractError: a DiT whose patches do not fit the samples.
        """
        if self.conditioned and not sample.num_classes:
            raise _no_labels()
        classes = sample.num_classes if self.conditioned else 0
        architecture = self.settings.architecture
        if architecture.type == "DiT":
            return DiT(architecture.dit or DitSettings(), sample.shape, classes)
        mlp = architecture.mlp or MlpSettings()
        features = math.prod(sample.shape)
        return VelocityMlp(features, features, mlp.width, mlp.depth, classes)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:
        """Noisy samples at uniform times, and their velocities.

        Raises:
            BadDataError: conditioning on a class that the batch does not have.
        """
        time_B = torch.rand(len(batch.x_BD), generator=generator)
        noise_BD = torch.randn(batch.x_BD.shape, generator=generator)
        x_BD, velocity_BD = path.noisy(self.path, batch.x_BD, noise_BD, time_B)
        return Inputs(x_BD, velocity_BD, time_B, self.condition(batch.label_B))

    def condition(self, label_B: Tensor | None) -> Tensor | None:
        """The labels that a model is told: all of them, or none.

        Raises:
            BadDataError: conditioning on a class that is not given.
        """
        if not self.conditioned:
            return None
        if label_B is None:
            raise _no_labels()
        return label_B

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """The velocity, shaped like the sample."""
        velocity_BD: Tensor = model(inputs.x_BD, inputs.time_B, inputs.label_B)
        return velocity_BD

    def losses(self, predicted_BD: Tensor, inputs: Inputs) -> Tensor:
        """Mean squared error of the velocity, shape (B,)."""
        return (predicted_BD - inputs.target_BD).square().flatten(1).mean(dim=1)

    def contract(self) -> Mapping[str, str]:
        """The noise path and all that goes with it."""
        return {
            "task": "Diffusion",
            "path": self.settings.path,
            "prediction": "velocity",
            "time": "0 data, 1 noise",
            "conditioning": self.settings.conditioning,
        }


def _no_labels() -> BadDataError:
    return BadDataError(
        "task.diffusion.conditioning is Class, but the data have no labels: "
        "give labels, or set conditioning to None"
    )
