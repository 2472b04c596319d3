"""Data that an island brings itself: made to fit what all islands agreed on, or refused.

What was agreed on stands in `assignment/<i>`: the shape, the classes and the scale of the data that
the merged model is judged on. Nothing of an island's own data leaves this process.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from atoll_worker.data.dataset import Dataset
from atoll_worker.errors import BadDataError
from atoll_worker.ports import Artifact


def fitted(own: Dataset, agreed: Artifact) -> Dataset:
    """The same samples with the labels that all islands use.

    Classes go by their names: an island that has never seen some of them counts the others as
    everybody does.

    Raises:
        BadDataError: another shape or scale, no labels where all have some, or an unknown class.
    """
    said: Any = agreed.metadata
    shape, names = tuple(said["sampleShape"]), tuple(said["classNames"])
    if own.sample.shape != shape:
        raise BadDataError(
            f"this island's samples have the shape {own.sample.shape}, those of evaluation.data "
            f"{shape}: bring samples of that shape, or set imageSize in both"
        )
    if own.normalisation != said["normalisation"]:
        raise BadDataError(
            f"this island's values are scaled by {own.normalisation!r}, those of evaluation.data "
            f"by {said['normalisation']!r}: save both as uint8, or both as float32"
        )
    return replace(own, label_N=_relabelled(own, names), class_names=names)


def _relabelled(own: Dataset, names: Sequence[str]) -> Tensor | None:
    if not names:
        return None
    if own.label_N is None:
        raise BadDataError(
            "this island's data have no labels and evaluation.data have: put the images into a "
            "subfolder a class, or add an array `y`"
        )
    used = sorted(set(own.label_N.tolist()))
    unknown = [own.class_names[label] for label in used if own.class_names[label] not in names]
    if unknown:
        raise BadDataError(
            f"this island has the class {unknown[0]!r}, which evaluation.data have not: there are "
            f"{', '.join(names[:12])}"
        )
    number = torch.full((len(own.class_names),), -1, dtype=torch.int64)
    for label in used:
        number[label] = names.index(own.class_names[label])
    return number[own.label_N]
