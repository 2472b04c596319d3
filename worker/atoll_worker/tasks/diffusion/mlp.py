"""A residual multilayer perceptron that is told the time at every block."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from atoll_worker.tasks.diffusion.embedding import Condition
from atoll_worker.tasks.structure import Layer, Structure, Units, structure_of


class Block(nn.Module):
    """h + W2 silu(W1 norm(h) + Wc condition)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, width)
        self.condition = nn.Linear(width, width)
        self.leave = nn.Linear(width, width)

    def forward(self, hidden_BW: Tensor, condition_BW: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        inner: Tensor = self.enter(self.norm(hidden_BW)) + self.condition(condition_BW)
        left: Tensor = self.leave(F.silu(inner))
        return hidden_BW + left


class ResidualMlp(nn.Module):
    """Flattened samples (B, ...) to (B, out_features); 54,592 parameters at 64 -> 64, 64 x 3."""

    def __init__(
        self, in_features: int, out_features: int, width: int, depth: int, num_classes: int
    ) -> None:
        super().__init__()
        self.condition = Condition(width, num_classes)
        self.enter = nn.Linear(in_features, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, out_features)

    def forward(self, x_BD: Tensor, time_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        """Samples (B, ...), times (B,), labels (B,) or None; answers (B, out_features)."""
        condition_BW = self.condition(time_B, label_B)
        hidden_BW = self.enter(x_BD.flatten(1))
        for block in self.blocks:
            hidden_BW = block(hidden_BW, condition_BW)
        answer: Tensor = self.leave(self.norm(hidden_BW))
        return answer

    def structure(self) -> Structure:
        """The stream is one group, the condition another, and each block has its hidden units."""
        return structure_of(self, self._layers())

    def _layers(self) -> Iterator[Layer]:
        width = self.leave.in_features
        stream, condition = Units("stream", width), Units("condition", width)
        yield from self.condition.layers("condition", condition)
        yield Layer("enter", writes=stream)
        for index in range(len(self.blocks)):
            block, hidden = f"blocks.{index}", Units(f"blocks.{index}.hidden", width)
            yield Layer(f"{block}.norm", writes=stream)
            yield Layer(f"{block}.enter", reads=stream, writes=hidden)
            yield Layer(f"{block}.condition", reads=condition, writes=hidden)
            yield Layer(f"{block}.leave", reads=hidden, writes=stream)
        yield Layer("norm", writes=stream)
        yield Layer("leave", reads=stream)


class VelocityMlp(ResidualMlp):
    """A residual MLP whose answer has the shape of the sample."""

    def forward(self, x_BD: Tensor, time_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        """The velocity, shaped like `x_BD`."""
        return super().forward(x_BD, time_B, label_B).reshape(x_BD.shape)
