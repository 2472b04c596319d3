"""Samples become pixels in the right place."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from atoll_worker.report.images import data_uri, grid_png, is_image


def test_a_grid_shows_every_sample_in_its_place() -> None:
    x = torch.stack([torch.full((1, 4, 4), value) for value in (-1.0, 0.0, 1.0)])
    picture = Image.open(io.BytesIO(grid_png(x, columns=2, least_side=1)))
    assert picture.size == (9, 9)
    pixels = np.asarray(picture)
    assert pixels[0, 0].tolist() == [0, 0, 0, 255]
    assert pixels[0, 5].tolist() == [128, 128, 128, 255]
    assert pixels[5, 0].tolist() == [255, 255, 255, 255]
    assert pixels[5, 5, 3] == 0


def test_colours_stay_and_values_beyond_the_range_are_clipped() -> None:
    x = torch.tensor([3.0, -3.0, 0.0]).reshape(1, 3, 1, 1)
    pixels = np.asarray(Image.open(io.BytesIO(grid_png(x, 1, least_side=4))))
    assert pixels.shape == (4, 4, 4)
    assert pixels[0, 0].tolist() == [255, 0, 128, 255]


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((1, 8, 8), True),
        ((3, 32, 32), True),
        ((64,), False),
        ((2, 8, 8), False),
        ((1, 999, 9), False),
    ],
)
def test_only_images_are_shown(shape: tuple[int, ...], shown: bool) -> None:  # noqa: FBT001
    assert is_image(shape) is shown


def test_a_data_uri_needs_no_network() -> None:
    assert data_uri(b"\x89PNG").startswith("data:image/png;base64,iVBORw")
