"""Folders of PNG and JPEG images; a subfolder is a class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from atoll_worker.data.dataset import Samples
from atoll_worker.errors import BadDataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True)
class _Picture:
    path: Path
    image: Image.Image
    """Of mode L or RGB."""


def read_image_folder(folder: Path, image_size: int | None) -> Samples:
    """Read every PNG and JPEG below a folder, in the order of their paths.

    Args:
        folder: images directly in it (no labels), or in one subfolder a class.
        image_size: pixels on a side to crop (centre) and resize to; None takes images as they
            are, and then all must have one size and one mode.

    Returns:
        float32 samples of shape (N, 1 or 3, height, width) in [-1, 1].

    Raises:
        BadDataError: no image, a damaged one, or images that do not fit together.
    """
    paths = _image_paths(folder)
    class_names, labels = _classes(folder, paths)
    pictures = [_Picture(path, _open(path)) for path in paths]
    if image_size is None:
        _refuse_mixture(pictures)
        images = [picture.image for picture in pictures]
    else:
        images = _fit([picture.image for picture in pictures], image_size)
    x_NCHW = torch.stack([_to_tensor(image) for image in images])
    return Samples(x_NCHW, labels, class_names, "x / 127.5 - 1")


def _image_paths(folder: Path) -> list[Path]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not paths:
        raise BadDataError(f"data.source: {folder} has no PNG or JPEG image: check the path")
    return paths


def _classes(folder: Path, paths: list[Path]) -> tuple[tuple[str, ...], Tensor | None]:
    parts = [path.relative_to(folder).parts for path in paths]
    loose = [path for path, part in zip(paths, parts, strict=True) if len(part) == 1]
    if len(loose) == len(paths):
        return (), None
    if loose:
        raise BadDataError(
            f"data.source: {folder} has images in subfolders and also {loose[0].name}: put every "
            "image into the subfolder of its class, or all of them directly into the folder"
        )
    names = tuple(sorted({part[0] for part in parts}))
    return names, torch.tensor([names.index(part[0]) for part in parts], dtype=torch.int64)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            if image.mode in _DEEP_MODES:
                raise BadDataError(
                    f"{path} has more than 8 bits a channel ({image.mode}): convert it to 8 bits"
                )
            upright = ImageOps.exif_transpose(image)
            return upright.convert("L" if image.mode in _GREY_MODES else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadDataError(
            f"{path} is damaged or no PNG or JPEG image: replace or remove it"
        ) from error


def _refuse_mixture(pictures: list[_Picture]) -> None:
    first = pictures[0]
    for other in pictures[1:]:
        if (other.image.size, other.image.mode) != (first.image.size, first.image.mode):
            raise BadDataError(
                f"images differ: {first.path} is {_describe(first.image)}, {other.path} is "
                f"{_describe(other.image)}: set `data.imageSize: N` to crop and resize all "
                "images to N x N"
            )


def _describe(image: Image.Image) -> str:
    width, height = image.size
    return f"{width}x{height} {'grey' if image.mode == 'L' else 'RGB'}"


def _fit(images: list[Image.Image], side: int) -> list[Image.Image]:
    mode = "L" if all(image.mode == "L" for image in images) else "RGB"
    return [ImageOps.fit(image.convert(mode), (side, side)) for image in images]


def _to_tensor(image: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(image, dtype=np.float32))
    x_CHW = pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return x_CHW.contiguous() / 127.5 - 1
