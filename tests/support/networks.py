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

DIGITS = SampleSpec((1, 8, 8), 10)
TEXT = SampleSpec((16,), 0)
NORMS: tuple[Literal["BatchNorm", "LayerNorm", "GroupNorm", "None"], ...] = (
    "BatchNorm",
    "LayerNorm",
    "GroupNorm",
    "None",
)


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


def network(document: dict[str, Any], seed: int = 0) -> Case:
    """The network of a task's document, in float64, and three samples to ask it about."""
    generator = torch.Generator().manual_seed(seed)
    task = load_task(TaskSpec.from_document(document))
    text = document["type"] == "Language"
    torch.manual_seed(seed)
    model = scrambled(task.build_model(TEXT if text else DIGITS), seed)
    x_BD = tokens(3, generator) if text else torch.randn(3, 1, 8, 8, generator=generator)
    batch = Batch(x_BD, torch.randint(10, (3,), generator=generator), 10)
    inputs = task.corrupt(batch, generator)
    if document["type"] == "Diffusion":
        given = (inputs.x_BD.double(), inputs.time_B.double(), inputs.label_B)
        return Case(model, lambda it: it(*given))
    x_BD = inputs.x_BD if text else inputs.x_BD.double()
    return Case(model, lambda it: it(x_BD))


def tokens(count: int, generator: torch.Generator) -> Tensor:
    """Texts of random bytes."""
    return torch.randint(256, (count, *TEXT.shape), generator=generator).to(torch.uint8)


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


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
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
    gpt = {"width": 16, "heads": 4, "context": TEXT.shape[0]}
    yield "GPT", {"type": "Language", "language": {"architecture": {"type": "GPT", "gpt": gpt}}}


def classifier(kind: str, norm: str = "BatchNorm", **sizes: Any) -> dict[str, Any]:
    """The document of a classification task."""
    architecture = {"type": kind, **sizes}
    return {
        "type": "Classification",
        "classification": {"architecture": architecture, "normalization": norm},
    }
