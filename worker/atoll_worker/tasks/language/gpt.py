"""A decoder-only transformer: norms before each part, learned positions, GELU.

As GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019). Unlike GPT-2 the head has weights of its own: every tensor has one name, in every file.

Shape suffixes: B batch, L tokens, W width, H heads, C channels of a head, V vocabulary.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atoll_api.spec.task import GptSettings
from atoll_worker.errors import BadTaskError, ContractError
from atoll_worker.tasks.structure import Layer, Structure, Units, structure_of
from atoll_worker.tasks.transformer import attention, feed_forward

_DEVIATION = 0.02
"""Of the initial weights, as in GPT-2."""


class Block(nn.Module):
    """Causal attention and an MLP, each added to the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, hidden_BLW: Tensor) -> Tensor:
        """(B, L, width) to (B, L, width)."""
        hidden_BLW = hidden_BLW + self._attend(self.norm1(hidden_BLW))
        left_BLW: Tensor = self.mlp(self.norm2(hidden_BLW))
        return hidden_BLW + left_BLW

    def _attend(self, hidden_BLW: Tensor) -> Tensor:
        batch, length, width = hidden_BLW.shape
        qkv_BL3HC = self.qkv(hidden_BLW).view(batch, length, 3, self.heads, -1)
        query, key, value = qkv_BL3HC.permute(2, 0, 3, 1, 4).unbind(0)
        mixed_BHLC = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        projected: Tensor = self.project(mixed_BHLC.transpose(1, 2).reshape(batch, length, width))
        return projected


class Gpt(nn.Module):
    """Tokens to logits of the token after each; 149,248 parameters at 2 x 64 over 256 bytes."""

    def __init__(self, settings: GptSettings, vocabulary: int) -> None:
        """Build the network with GPT-2's initialization, from torch's global seed.

        Raises:
            BadTaskError: the heads do not divide the width.
        """
        super().__init__()
        if settings.width % settings.heads:
            raise BadTaskError(
                f"task.language.architecture.gpt.heads is {settings.heads}, which does not divide "
                f"the width {settings.width}: choose a divisor of the width"
            )
        self.context, self.heads = settings.context, settings.heads
        self.token = nn.Embedding(vocabulary, settings.width)
        self.position = nn.Embedding(settings.context, settings.width)
        self.blocks = nn.ModuleList(
            Block(settings.width, settings.heads) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(settings.width)
        self.head = nn.Linear(settings.width, vocabulary, bias=False)
        self._initialize(settings.layers)

    def forward(self, token_BL: Tensor) -> Tensor:
        """Logits (B, L, V) of tokens (B, L); place i tells of token i + 1.

        Raises:
            ContractError: more tokens than the context.
        """
        length = token_BL.shape[1]
        if length > self.context:
            raise ContractError(
                f"{length} tokens are more than the context of {self.context}: give the last "
                f"{self.context}"
            )
        hidden_BLW = self.token(token_BL.int()) + self.position.weight[:length]
        for block in self.blocks:
            hidden_BLW = block(hidden_BLW)
        logits_BLV: Tensor = self.head(self.norm(hidden_BLW))
        return logits_BLV

    def structure(self) -> Structure:
        """The stream is one group; each block has its heads and its hidden units."""
        return structure_of(self, self._layers())

    def _layers(self) -> Iterator[Layer]:
        width = self.head.in_features
        stream = Units("stream", width)
        yield Layer("token", writes=stream)
        yield Layer("position", writes=stream)
        for index in range(len(self.blocks)):
            block = f"blocks.{index}"
            heads = Units(f"{block}.heads", self.heads, width=width // self.heads)
            yield Layer(f"{block}.norm1", writes=stream)
            yield from attention(f"{block}.qkv", f"{block}.project", heads, stream)
            yield Layer(f"{block}.norm2", writes=stream)
            hidden = Units(f"{block}.hidden", 4 * width)
            yield from feed_forward(f"{block}.mlp.0", f"{block}.mlp.2", hidden, stream)
        yield Layer("norm", writes=stream)
        yield Layer("head", reads=stream)

    def _initialize(self, layers: int) -> None:
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                # What is added to the residual stream 2 x layers times is made smaller.
                adds = name.endswith(("project.weight", "mlp.2.weight"))
                scale = 1 / math.sqrt(2 * layers) if adds else 1.0
                with torch.no_grad():
                    parameter.normal_(0.0, _DEVIATION * scale)
