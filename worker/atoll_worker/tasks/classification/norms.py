"""The norm of `spec.task.classification.normalization`, for vectors and for images."""

from typing import Literal

from torch import nn

from atoll_worker.errors import BadTaskError

Normalization = Literal["BatchNorm", "LayerNorm", "GroupNorm", "None"]
_CHANNELS_A_GROUP = 8


def vector_norm(kind: Normalization, width: int) -> nn.Module:
    """A norm of vectors (B, width).

    Raises:
        BadTaskError: a GroupNorm whose groups do not divide the width.
    """
    match kind:
        case "BatchNorm":
            return nn.BatchNorm1d(width)
        case "LayerNorm":
            return nn.LayerNorm(width)
        case "GroupNorm":
            return _group_norm(width)
        case "None":
            return nn.Identity()


def image_norm(kind: Normalization, channels: int) -> nn.Module:
    """A norm of images (B, channels, H, W); LayerNorm is over channels and pixels together.

    Raises:
        BadTaskError: a GroupNorm whose groups do not divide the channels.
    """
    match kind:
        case "BatchNorm":
            return nn.BatchNorm2d(channels)
        case "LayerNorm":
            return nn.GroupNorm(1, channels)
        case "GroupNorm":
            return _group_norm(channels)
        case "None":
            return nn.Identity()


def convolution(reads: int, writes: int, kind: Normalization, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution; without a bias where a norm with one follows."""
    return nn.Conv2d(reads, writes, 3, stride, padding=1, bias=kind == "None")


def _group_norm(channels: int) -> nn.GroupNorm:
    size = min(channels, _CHANNELS_A_GROUP)
    if channels % size:
        raise BadTaskError(
            f"task.classification.normalization GroupNorm has {_CHANNELS_A_GROUP} channels a "
            f"group, which does not divide the width {channels}: choose a multiple of "
            f"{_CHANNELS_A_GROUP}"
        )
    return nn.GroupNorm(channels // size, channels)
