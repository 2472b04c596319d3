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


class ClassifierMlpSettings(FrozenModel):
    """Hidden layers of one width, each with a norm and a ReLU."""

    width: int = Field(default=64, ge=8, le=8192)
    """Units of a hidden layer."""
    depth: int = Field(default=2, ge=1, le=64)
    """Hidden layers."""


class CnnSettings(FrozenModel):
    """3x3 convolutions, each with a norm and a ReLU; the width doubles at each halving."""

    width: int = Field(default=16, ge=8, le=2048)
    """Channels of the first layer."""
    depth: int = Field(default=2, ge=1, le=6)
    """Layers; the image is halved before each but the first."""


class ResNet20Settings(FrozenModel):
    """ResNet-20 (He et al., arXiv 1512.03385, section 4.2)."""

    width: int = Field(default=16, ge=8, le=1024)
    """Channels of the first stage; the other two have twice and four times as many."""


class ClassifierArchitecture(TaggedUnion):
    """The network of a classifier."""

    members: ClassVar[dict[str, str | None]] = {
        "MLP": "mlp",
        "CNN": "cnn",
        "ResNet20": "res_net20",
    }
    type: Literal["MLP", "CNN", "ResNet20"] = "MLP"
    mlp: ClassifierMlpSettings | None = None
    cnn: CnnSettings | None = None
    res_net20: ResNet20Settings | None = None


class ClassificationTask(FrozenModel):
    """Learn the label of a sample, by cross-entropy. The data must have labels."""

    architecture: ClassifierArchitecture = ClassifierArchitecture(type="MLP")
    normalization: Literal["BatchNorm", "LayerNorm", "GroupNorm", "None"] = "BatchNorm"
    """GroupNorm has 8 channels a group, or all where there are fewer."""


class GptSettings(FrozenModel):
    """A decoder-only transformer with learned positions (Radford et al., 2019)."""

    layers: int = Field(default=2, ge=1, le=128)
    """Transformer blocks."""
    width: int = Field(default=64, ge=8, le=8192)
    """Channels of a token."""
    heads: int = Field(default=4, ge=1, le=128)
    """Attention heads; must divide `width`."""
    context: int = Field(default=256, ge=16, le=65_536)
    """Tokens that a prediction is made from; also the length of one training sample."""


class LanguageArchitecture(TaggedUnion):
    """The network of a language model."""

    members: ClassVar[dict[str, str | None]] = {"GPT": "gpt"}
    type: Literal["GPT"] = "GPT"
    gpt: GptSettings | None = None


class LanguageTask(FrozenModel):
    """Predict the next token of a text."""

    architecture: LanguageArchitecture = LanguageArchitecture(type="GPT")
    tokenizer: Literal["Bytes"] = "Bytes"
    """Bytes: a token is a byte of UTF-8."""


class CustomTask(FrozenModel):
    """A user's own class with the Task protocol (`atoll_worker.tasks.base`)."""

    entrypoint: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$")
    """`package.module:Class`, importable where the workers run."""
    config: dict[str, str] = Field(default_factory=dict)
    """Passed to the class as keyword arguments."""


class Task(TaggedUnion):
    """What is trained."""

    members: ClassVar[dict[str, str | None]] = {
        "Diffusion": "diffusion",
        "Language": "language",
        "Classification": "classification",
        "Custom": "custom",
    }
    type: Literal["Diffusion", "Language", "Classification", "Custom"]
    diffusion: DiffusionTask | None = None
    language: LanguageTask | None = None
    classification: ClassificationTask | None = None
    custom: CustomTask | None = None

    @property
    def context(self) -> int | None:
        """Tokens of one sample of text; None for a task that does not read text."""
        if self.language is None:
            return None
        return (self.language.architecture.gpt or GptSettings()).context
