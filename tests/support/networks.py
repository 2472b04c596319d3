"""Every built-in network, small, with all its weights drawn at random."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atoll_api.spec.task import Task as TaskSpec
from atoll_worker.tasks.base import Batch, SampleSpec
from atoll_worker.tasks.registry import load_task
from atoll_worker.tasks.structure import Structure, structure_of
from atoll_worker.tasks.transformer import gpt

DIGITS = SampleSpec((1, 8, 8), 10)
NORMS: tuple[Literal["BatchNorm", "LayerNorm", "GroupNorm", "None"], ...] = (
    "BatchNorm",
    "LayerNorm",
    "GroupNorm",
    "None",
)


class GptBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x_BLW: Tensor) -> Tensor:
        batch, length, width = x_BLW.shape
        shaped = self.qkv(self.norm1(x_BLW)).reshape(batch, length, 3, self.heads, -1)
        query, key, value = shaped.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x_BLW = x_BLW + self.project(mixed.transpose(1, 2).reshape(batch, length, width))
        left: Tensor = self.mlp(self.norm2(x_BLW))
        return x_BLW + left


class Gpt(nn.Module):
    """A small decoder over 16 tokens."""

    def __init__(self, layers: int = 2, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.sizes = (layers, width, heads)
        self.token = nn.Embedding(16, width)
        self.position = nn.Embedding(8, width)
        self.blocks = nn.ModuleList(GptBlock(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 16, bias=False)

    def forward(self, token_BL: Tensor) -> Tensor:
        x_BLW = self.token(token_BL) + self.position.weight[: token_BL.shape[1]]
        for block in self.blocks:
            x_BLW = block(x_BLW)
        logits: Tensor = self.head(self.norm(x_BLW))
        return logits

    def structure(self) -> Structure:
        return structure_of(self, gpt(*self.sizes))


@dataclass(frozen=True)
class Case:
    """A network, and how it is asked."""

    model: nn.Module
    ask: Callable[[nn.Module], Tensor]

    def answer(self, tensors: dict[str, Tensor]) -> Tensor:
        """What the network says with these weights, in eval mode."""
        self._twin.load_state_dict(tensors)
        with torch.no_grad():
            return self.ask(self._twin)

    @cached_property
    def _twin(self) -> nn.Module:
        return copy.deepcopy(self.model).eval()


def network(document: dict[str, Any] | None, seed: int = 0) -> Case:
    """The network of a task's document, in float64; None is the GPT."""
    generator = torch.Generator().manual_seed(seed)
    if document is None:
        tokens = torch.randint(16, (4, 8), generator=generator)
        return Case(scrambled(Gpt(), seed), lambda model: model(tokens))
    task = load_task(TaskSpec.from_document(document))
    torch.manual_seed(seed)
    model = scrambled(task.build_model(DIGITS), seed)
    x_BD = torch.randn(3, 1, 8, 8, generator=generator)
    batch = Batch(x_BD, torch.randint(10, (3,), generator=generator), 10)
    inputs = task.corrupt(batch, generator)
    given = (inputs.x_BD.double(), inputs.time_B.double(), inputs.label_B)
    conditioned = document["type"] == "Diffusion"
    return Case(model, lambda it: it(*given) if conditioned else it(given[0]))


def scrambled(model: nn.Module, seed: int) -> nn.Module:
    """All weights and statistics drawn anew, so that no two units are alike, in float64."""
    generator = torch.Generator().manual_seed(seed)
    model.double()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(0, 0.3, generator=generator)
            if name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
                tensor.abs_().add_(0.5)  # no unit is dead behind its ReLU
    return model


def documents() -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Every architecture with every norm, by a name."""
    for label in ("None", "Class"):
        for kind, sizes in (("MLP", {"mlp": {"width": 16}}), ("DiT", {"dit": {"width": 16}})):
            diffusion = {"architecture": {"type": kind, **sizes}, "conditioning": label}
            yield f"Diffusion-{kind}-{label}", {"type": "Diffusion", "diffusion": diffusion}
    for norm in NORMS:
        for kind, sizes in (
            ("MLP", {"mlp": {"width": 24}}),
            ("CNN", {"cnn": {"width": 16, "depth": 3}}),
            ("ResNet20", {"resNet20": {"width": 8}}),
        ):
            yield f"{kind}-{norm}", classifier(kind, norm, **sizes)
    yield "GPT", None


def classifier(kind: str, norm: str = "BatchNorm", **sizes: Any) -> dict[str, Any]:
    """The document of a classification task."""
    architecture = {"type": kind, **sizes}
    return {
        "type": "Classification",
        "classification": {"architecture": architecture, "normalization": norm},
    }
