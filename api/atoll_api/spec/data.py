"""What is trained on: `spec.data`."""

from typing import Final

from pydantic import Field

from atoll_api.base import FrozenModel

ISLAND_NUMBER: Final = "{island}"
"""In a source: the number of the island that reads it."""


class Data(FrozenModel):
    """One dataset, split once into a training part and a holdout."""

    source: str = Field(pattern=r"^(builtin|file)://.+$")
    """`builtin://digits`; or `file://PATH`: a folder of PNG/JPEG images (a subfolder a class),
    or an `.npz` or `.safetensors` file with an array `x` and, optionally, integer labels `y`.
    For a Language task: `builtin://python-stdlib`; or a `.txt` file, a folder of them, or a
    `.jsonl` file with a field `text` a line, in UTF-8.
    A relative path is taken from the folder of the job's file. With partition PerIsland
    `{island}` stands for the number of the island that reads it."""
    holdout: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Fraction of the samples that nobody trains on."""
    image_size: int | None = Field(default=None, ge=1, le=4096)
    """Pixels on a side to which the images of a folder are cropped and resized; without it
    images of different sizes are refused. Only for folders of images."""
