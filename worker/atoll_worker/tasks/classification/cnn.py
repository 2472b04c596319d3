"""3x3 convolutions, each with a norm and a ReLU, and one linear layer over all pixels."""

import itertools
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import CnnSettings
from atoll_worker.errors import ContractError
from atoll_worker.tasks.classification.norms import Normalization, convolution, image_norm
from atoll_worker.tasks.structure import Layer, Structure, Units, structure_of


class Cnn(nn.Module):
    """Images (B, C, H, W) to logits (B, classes).

    Raises:
        ContractError: the samples are no images, or too small to be halved so often.
    """

    def __init__(
        self, shape: tuple[int, ...], classes: int, settings: CnnSettings, norm: Normalization
    ) -> None:
        super().__init__()
        check(settings, shape)
        channels, height, width = shape
        halvings = settings.depth - 1
        self.pixels = (height >> halvings) * (width >> halvings)
        widths = [channels] + [settings.width << index for index in range(settings.depth)]
        self.layers = nn.ModuleList(
            convolution(reads, writes, norm) for reads, writes in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(image_norm(norm, writes) for writes in widths[1:])
        self.leave = nn.Linear(widths[-1] * self.pixels, classes)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x_BD = F.relu(norm(layer(F.max_pool2d(x_BD, 2) if index else x_BD)))
        logits_BC: Tensor = self.leave(x_BD.flatten(1))
        return logits_BC

    def structure(self) -> Structure:
        """Every channel is free, but in a GroupNorm."""
        return structure_of(self, self._layers())

    def _layers(self) -> Iterator[Layer]:
        before: Units | None = None
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv2d)
            units = Units(f"channels.{index}", layer.out_channels)
            yield Layer(f"layers.{index}", reads=before, writes=units)
            yield Layer(f"norms.{index}", writes=units)
            before = units
        assert before is not None
        yield Layer("leave", reads=before.flattened(self.pixels))


def check(settings: CnnSettings, shape: tuple[int, ...]) -> None:
    """Refuse samples that are no images, and more halvings than the image has.

    Raises:
        ContractError: see above.
    """
    if len(shape) != 3:
        raise ContractError(
            f"a CNN needs samples of shape (channels, height, width), these have {shape}: "
            "use architecture MLP, or image data"
        )
    if min(shape[1:]) >> (settings.depth - 1) == 0:
        raise ContractError(
            f"task.classification.architecture.cnn.depth is {settings.depth}, which halves images "
            f"of {shape[1]} x {shape[2]} to nothing: lower it"
        )
