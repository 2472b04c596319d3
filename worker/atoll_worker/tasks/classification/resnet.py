"""ResNet-20 (He et al., arXiv 1512.03385, section 4.2), with 1x1 convolutions as shortcuts.

The paper's shortcut pads channels with zeros where their number doubles. Here it is a convolution
(the paper's option B): with padding, the channels of one stage would be tied to those of the next.
"""

import itertools
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import ResNet20Settings
from atoll_worker.errors import ContractError
from atoll_worker.tasks.classification.norms import Normalization, convolution, image_norm
from atoll_worker.tasks.structure import Layer, Structure, Units, structure_of

_STAGES = 3
_BLOCKS_A_STAGE = 3
_BLOCKS = _STAGES * _BLOCKS_A_STAGE


class Block(nn.Module):
    """relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, reads: int, writes: int, norm: Normalization) -> None:
        super().__init__()
        stride = 1 if reads == writes else 2
        self.first = convolution(reads, writes, norm, stride)
        self.first_norm = image_norm(norm, writes)
        self.second = convolution(writes, writes, norm)
        self.second_norm = image_norm(norm, writes)
        self.shortcut = (
            nn.Identity() if stride == 1 else nn.Conv2d(reads, writes, 1, stride, bias=False)
        )
        self.shortcut_norm = nn.Identity() if stride == 1 else image_norm(norm, writes)

    def forward(self, x_BD: Tensor) -> Tensor:
        """(B, reads, H, W) to (B, writes, H, W), halved where the channels double."""
        inner_BD = F.relu(self.first_norm(self.first(x_BD)))
        change_BD: Tensor = self.second_norm(self.second(inner_BD))
        return F.relu(self.shortcut_norm(self.shortcut(x_BD)) + change_BD)


class ResNet20(nn.Module):
    """Images (B, C, H, W) to logits (B, classes).

    Raises:
        ContractError: the samples are no images.
    """

    def __init__(
        self, shape: tuple[int, ...], classes: int, settings: ResNet20Settings, norm: Normalization
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ContractError(
                f"a ResNet20 needs samples of shape (channels, height, width), these have {shape}: "
                "use architecture MLP, or image data"
            )
        self.width = settings.width
        self.enter = convolution(shape[0], settings.width, norm)
        self.enter_norm = image_norm(norm, settings.width)
        widths = [settings.width]
        widths += [settings.width << index // _BLOCKS_A_STAGE for index in range(_BLOCKS)]
        pairs = itertools.pairwise(widths)
        self.blocks = nn.ModuleList(Block(reads, writes, norm) for reads, writes in pairs)
        self.leave = nn.Linear(widths[-1], classes)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        stream_BD = F.relu(self.enter_norm(self.enter(x_BD)))
        for block in self.blocks:
            stream_BD = block(stream_BD)
        logits_BC: Tensor = self.leave(stream_BD.mean(dim=(2, 3)))
        return logits_BC

    def structure(self) -> Structure:
        """One group a stage for its residual stream, and one a block for what is inside."""
        return structure_of(self, self._layers())

    def _layers(self) -> Iterator[Layer]:
        streams = [Units(f"stage.{stage}", self.width << stage) for stage in range(_STAGES)]
        yield Layer("enter", writes=streams[0])
        yield Layer("enter_norm", writes=streams[0])
        before = streams[0]
        for index in range(len(self.blocks)):
            stream = streams[index // _BLOCKS_A_STAGE]
            inner = Units(f"block.{index}", stream.count)
            yield from _layers_of_block(f"blocks.{index}", before, inner, stream)
            before = stream
        yield Layer("leave", reads=before)


def _layers_of_block(name: str, before: Units, inner: Units, after: Units) -> Iterator[Layer]:
    yield Layer(f"{name}.first", reads=before, writes=inner)
    yield Layer(f"{name}.first_norm", writes=inner)
    yield Layer(f"{name}.second", reads=inner, writes=after)
    yield Layer(f"{name}.second_norm", writes=after)
    yield Layer(f"{name}.shortcut", reads=before, writes=after)
    yield Layer(f"{name}.shortcut_norm", writes=after)
