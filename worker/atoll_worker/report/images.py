"""Samples as pictures: a grid of small images in one PNG."""

import base64
import io
import math

import numpy as np
from PIL import Image
from torch import Tensor


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether samples of this shape can be shown: 1 or 3 channels, at most 256 pixels a side."""
    return len(shape) == 3 and shape[0] in (1, 3) and max(shape[1:]) <= 256


def grid_png(x_ND: Tensor, columns: int, least_side: int = 192) -> bytes:
    """A PNG with the samples (N, C, H, W), values in [-1, 1], row by row.

    Small images are enlarged by a whole factor, so that no viewer blurs them.
    """
    count, channels, height, width = x_ND.shape
    rows, gap = math.ceil(count / columns), 1
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    values = ((x_ND.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for i, value in enumerate(np.broadcast_to(values, (count, height, width, max(channels, 3)))):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[top : top + height, left : left + width, :3] = value
        canvas[top : top + height, left : left + width, 3] = 255
    picture = Image.fromarray(canvas)
    factor = max(1, round(least_side / picture.width))
    enlarged = picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )
    buffer = io.BytesIO()
    enlarged.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as an address that needs no network."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
