"""What is trained: `spec.task`."""

from typing import ClassVar, Literal

from pydantic import Field

from atoll_api.base import FrozenModel, TaggedUnion


class MlpSettings(FrozenModel):
    """A residual multilayer perceptron over the flattened sample."""

    width: int = Field(default=64, ge=8, le=8192)
    """Hidden units of each block."""
    depth: int = Field(default=3, ge=1, le=64)
    """Residual blocks."""


class DitSettings(FrozenModel):
    """A diffusion transformer with adaLN-Zero conditioning (Peebles and Xie, arXiv 2212.09748)."""

    patch_size: int = Field(default=2, ge=1, le=64)
    """Pixels on a side of one token; must divide the image's side."""
    width: int = Field(default=64, ge=8, le=8192)
    """Channels of a token."""
    depth: int = Field(default=2, ge=1, le=64)
    """Transformer blocks."""
    heads: int = Field(default=4, ge=1, le=128)
    """Attention heads; must divide `width`."""


class Architecture(TaggedUnion):
    """The network of one diffusion expert."""

    members: ClassVar[dict[str, str | None]] = {"MLP": "mlp", "DiT": "dit"}
    type: Literal["MLP", "DiT"] = "MLP"
    mlp: MlpSettings | None = None
    dit: DitSettings | None = None


class DiffusionTask(FrozenModel):
    """Flow matching (Lipman et al., arXiv 2210.02747) with a velocity target."""

    architecture: Architecture = Architecture(type="MLP")
    path: Literal["Linear", "Cosine"] = "Linear"
    """How a sample becomes noise: x_t = a(t) x_0 + s(t) eps. Linear: a = 1 - t, s = t.
    Cosine: a = cos(pi t / 2), s = sin(pi t / 2). Experts and router share it."""
    conditioning: Literal["None", "Class"] = "None"
    """Class: experts and router are told the label of a sample; the data must have labels."""


class CustomTask(FrozenModel):
    """A user's own class with the Task protocol (`atoll_worker.tasks.base`)."""

    entrypoint: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:Class`, importable where the workers run."""
    config: dict[str, str] = Field(default_factory=dict)
    """Passed to the class as keyword arguments."""


class Task(TaggedUnion):
    """What is trained."""

    members: ClassVar[dict[str, str | None]] = {"Diffusion": "diffusion", "Custom": "custom"}
    type: Literal["Diffusion", "Custom"]
    diffusion: DiffusionTask | None = None
    custom: CustomTask | None = None
