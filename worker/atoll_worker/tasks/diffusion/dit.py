"""A small diffusion transformer: patches, attention, adaLN-Zero (Peebles and Xie, 2212.09748).

Shape suffixes: B batch, L tokens, W width, C channels, P values of one patch.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import DitSettings
from atoll_worker.errors import BadTaskError, ContractError
from atoll_worker.tasks.diffusion.embedding import Condition
from atoll_worker.tasks.structure import Layer, Structure, Units, structure_of
from atoll_worker.tasks.transformer import attention, feed_forward


def check(settings: DitSettings, shape: tuple[int, ...]) -> None:
    """Refuse settings that fit neither themselves nor the sample.

    Raises:
        BadTaskError: the heads do not divide the width, or the width has no room for the 2-D
            sine positions.
        ContractError: the sample is no image, or the patch does not divide its sides.
    """
    if settings.width % settings.heads:
        raise BadTaskError(
            f"task.diffusion.architecture.dit.heads is {settings.heads}, which does not divide "
            f"the width {settings.width}: choose a divisor of the width"
        )
    if settings.width % 4:
        raise BadTaskError(
            f"task.diffusion.architecture.dit.width is {settings.width}: choose a multiple of 4, "
            "the 2-D positions need it"
        )
    if len(shape) != 3:
        raise ContractError(
            f"a DiT needs samples of shape (channels, height, width), these have {shape}: "
            "use architecture MLP, or image data"
        )
    if shape[1] % settings.patch_size or shape[2] % settings.patch_size:
        raise ContractError(
            f"task.diffusion.architecture.dit.patchSize is {settings.patch_size}, which does not "
            f"divide images of {shape[1]} x {shape[2]}: choose a divisor of both sides"
        )


def positions(rows: int, columns: int, width: int) -> Tensor:
    """2-D sine and cosine positions (rows x columns, width), fixed (He et al., 2111.06377, A.1)."""
    quarter = width // 4
    frequency = torch.exp(-math.log(1e4) * torch.arange(quarter) / quarter)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequency for axis in (row, column)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)


class DitBlock(nn.Module):
    """Attention and an MLP, each shifted, scaled and gated by the condition; starts as identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(width, 6 * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens_BLW: Tensor, condition_BW: Tensor) -> Tensor:
        """(B, L, width) to (B, L, width)."""
        parts = self.modulation(F.silu(condition_BW)).unsqueeze(1).chunk(6, dim=2)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = parts
        attended = self._attend(self.norm(tokens_BLW) * (1 + scale_a) + shift_a)
        tokens_BLW = tokens_BLW + gate_a * attended
        widened = self.mlp(self.norm(tokens_BLW) * (1 + scale_m) + shift_m)
        left_BLW: Tensor = tokens_BLW + gate_m * widened
        return left_BLW

    def _attend(self, tokens_BLW: Tensor) -> Tensor:
        batch, length, width = tokens_BLW.shape
        shaped = self.qkv(tokens_BLW).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = shaped.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.project(mixed.transpose(1, 2).reshape(batch, length, width))
        return projected


class DiT(nn.Module):
    """Images (B, C, H, W) to velocities of the same shape."""

    def __init__(self, settings: DitSettings, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        check(settings, shape)
        channels, height, width = shape
        self.patch, self.heads, self.depth = settings.patch_size, settings.heads, settings.depth
        self.grid = (height // self.patch, width // self.patch)
        values = channels * self.patch**2
        self.condition = Condition(settings.width, num_classes)
        self.enter = nn.Linear(values, settings.width)
        self.register_buffer("position", positions(*self.grid, settings.width), False)
        blocks = (DitBlock(settings.width, settings.heads) for _ in range(settings.depth))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(settings.width, elementwise_affine=False)
        self.modulation = nn.Linear(settings.width, 2 * settings.width)
        self.leave = nn.Linear(settings.width, values)
        for layer in (self.modulation, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BD: Tensor, time_B: Tensor, label_B: Tensor | None = None) -> Tensor:
        """Noisy images (B, C, H, W), times (B,), labels (B,) or None; velocities (B, C, H, W)."""
        condition_BW = self.condition(time_B, label_B)
        tokens_BLW = self.enter(self.patches(x_BD)) + self.get_buffer("position")
        for block in self.blocks:
            tokens_BLW = block(tokens_BLW, condition_BW)
        shift, scale = self.modulation(F.silu(condition_BW)).unsqueeze(1).chunk(2, dim=2)
        return self.image(self.leave(self.norm(tokens_BLW) * (1 + scale) + shift))

    def structure(self) -> Structure:
        """Heads, hidden units and the condition; not the stream.

        Fixed positions are added to the tokens and are a part of no artifact, so that the order
        of the stream's channels has a meaning that all islands share from the start.
        """
        return structure_of(self, self._layers())

    def _layers(self) -> Iterator[Layer]:
        width = self.leave.in_features
        condition = Units("condition", width)
        yield from self.condition.layers("condition", condition)
        for index in range(self.depth):
            block = f"blocks.{index}"
            heads = Units(f"{block}.heads", self.heads, width=width // self.heads)
            yield Layer(f"{block}.modulation", reads=condition)
            yield from attention(f"{block}.qkv", f"{block}.project", heads, None)
            hidden = Units(f"{block}.hidden", 4 * width)
            yield from feed_forward(f"{block}.mlp.0", f"{block}.mlp.2", hidden, None)
        yield Layer("modulation", reads=condition)

    def patches(self, x_BD: Tensor) -> Tensor:
        """(B, C, H, W) to (B, L, P), row by row."""
        return F.unfold(x_BD, self.patch, stride=self.patch).transpose(1, 2)

    def image(self, patches_BLP: Tensor) -> Tensor:
        """(B, L, P) to (B, C, H, W): undoes `patches`."""
        size = (self.grid[0] * self.patch, self.grid[1] * self.patch)
        return F.fold(patches_BLP.transpose(1, 2), size, self.patch, stride=self.patch)
