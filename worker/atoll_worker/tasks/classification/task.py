"""The classification task: p(class | sample) by cross-entropy.

p(class | x) = sum_k p(island k | x) p_k(class | x), so that experts may be averaged.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import ClassificationTask as ClassificationSettings
from atoll_api.spec.task import ClassifierMlpSettings, CnnSettings, ResNet20Settings
from atoll_worker.errors import BadDataError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec
from atoll_worker.tasks.classification.cnn import Cnn
from atoll_worker.tasks.classification.mlp import ClassifierMlp
from atoll_worker.tasks.classification.resnet import ResNet20


class ClassificationTask:
    """Learns the label of a sample; implements `tasks.base.Task` and `tasks.base.Measured`."""

    def __init__(self, settings: ClassificationSettings) -> None:
        self.settings = settings

    def build_model(self, sample: SampleSpec) -> nn.Module:
        """The network of `architecture`: samples (B, D) to logits (B, classes).

        Raises:
            BadDataError: the data have no labels.
            BadTaskError: a GroupNorm that does not fit the width.
            ContractError: a network of images, and samples that are none or too small.
        """
        if not sample.num_classes:
            raise _no_labels()
        architecture, norm = self.settings.architecture, self.settings.normalization
        match architecture.type:
            case "MLP":
                mlp = architecture.mlp or ClassifierMlpSettings()
                return ClassifierMlp(math.prod(sample.shape), sample.num_classes, mlp, norm)
            case "CNN":
                cnn = architecture.cnn or CnnSettings()
                return Cnn(sample.shape, sample.num_classes, cnn, norm)
            case "ResNet20":
                res_net = architecture.res_net20 or ResNet20Settings()
                return ResNet20(sample.shape, sample.num_classes, res_net, norm)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Inputs:  # noqa: ARG002 - protocol
        """The samples as they are, and their classes as one-hot targets (B, classes).

        Raises:
            BadDataError: the batch has no labels.
        """
        if batch.label_B is None:
            raise _no_labels()
        target_BC = F.one_hot(batch.label_B, batch.num_classes).to(torch.float32)
        return Inputs(batch.x_BD, target_BC, torch.zeros(len(batch.x_BD)), None)

    def predict(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """Probabilities (B, classes)."""
        logits_BC: Tensor = model(inputs.x_BD)
        return logits_BC.softmax(dim=1)

    def losses(self, predicted_BD: Tensor, inputs: Inputs) -> Tensor:
        """-log p of the class, shape (B,); at most 87.3, where float32 ends."""
        own_B = (predicted_BD * inputs.target_BD).sum(dim=1)
        return -own_B.clamp_min(torch.finfo(own_B.dtype).tiny).log()

    def measures(self, predicted_BD: Tensor, inputs: Inputs) -> Mapping[str, Tensor]:
        """`accuracy`: 1 where the likeliest class is the right one, else 0."""
        right_B = predicted_BD.argmax(dim=1) == inputs.target_BD.argmax(dim=1)
        return {"accuracy": right_B.to(torch.float32)}

    def contract(self) -> Mapping[str, str]:
        """What is predicted; networks and norms may differ from expert to expert."""
        return {"task": "Classification", "prediction": "probability"}


def _no_labels() -> BadDataError:
    return BadDataError(
        "task.type is Classification, but the data have no labels: put the images into a "
        "subfolder a class, or add an array `y`"
    )
