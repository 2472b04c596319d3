"""Divide a dataset of text among islands by what the texts are about."""

import numpy as np
import torch
from torch import Tensor

from atoll_api.spec.partition import TextClusters
from atoll_worker.data.assignment import Assignment
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.partition import picture
from atoll_worker.data.text_clusters import TextClusterer, divide_texts
from atoll_worker.errors import BadDataError
from atoll_worker.tasks.language.tokenizer import bytes_of
from atoll_worker.train.seeds import derive


def divide_text(
    dataset: Dataset, settings: TextClusters, count: int, seed: int
) -> tuple[Assignment, TextClusterer]:
    """Give every sample to one of `count` islands, by clusters of its text.

    Parts are balanced while the centres are fitted. A sample of the holdout, like any new text,
    belongs to the nearest centre.

    Raises:
        BadDataError: data that are no text, or too much alike to be divided.
    """
    if dataset.x_ND.dtype != torch.uint8:
        raise BadDataError(
            "partition.type TextClusters divides text, and these data are numbers: set "
            "partition.type: FeatureClusters"
        )
    parts = divide_texts(
        texts_of(dataset.x_ND[dataset.train]),
        count,
        settings.components,
        derive(seed, "partition"),
        balanced=settings.balanced,
    )
    holdout = parts.clusterer.distances(texts_of(dataset.x_ND[dataset.holdout])).argmin(axis=1)
    index, xy = picture(parts.embedding_NC)
    assignment = Assignment(
        count=count,
        train_island_N=torch.from_numpy(parts.part_N),
        holdout_island_N=torch.from_numpy(holdout.astype(np.int64)),
        fine_cluster_N=None,
        picture_index_P=torch.from_numpy(index),
        picture_xy_P2=torch.from_numpy(xy.astype(np.float32)),
    )
    return assignment, parts.clusterer


def texts_of(token_NL: Tensor) -> list[bytes]:
    """Tokens (N, L) as texts, for a clusterer."""
    return [bytes_of(row) for row in token_NL]
