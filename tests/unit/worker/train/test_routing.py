"""Accuracy, cross-entropy and calibration of known answers."""

import math
from typing import Any

import pytest
import torch

from atoll_worker.train.routing import Judged, calibration


def judged(probability: list[list[float]], island: list[int], time: list[float]) -> dict[str, Any]:
    return calibration(
        Judged(
            torch.tensor(probability, dtype=torch.float64), torch.tensor(island), torch.tensor(time)
        )
    )


def test_scores_of_known_answers() -> None:
    found = judged([[0.8, 0.2], [0.8, 0.2]], [0, 1], [0.05, 0.05])
    assert found["accuracy"] == 0.5
    assert found["meanConfidence"] == pytest.approx(0.8)
    assert found["crossEntropy"] == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2)
    assert found["ece"] == pytest.approx(0.3)


def test_calibrated_answers_have_no_error() -> None:
    assert judged([[0.5, 0.5]] * 4, [0, 1, 0, 1], [0.0] * 4)["ece"] == pytest.approx(0.0)


def test_noise_levels_are_told_apart_and_empty_bins_left_out() -> None:
    found = judged([[1.0, 0.0]] * 3, [0, 1, 1], [0.05, 0.55, 1.0])
    by_time = found["byTime"]
    assert [(one["from"], one["accuracy"]) for one in by_time] == [(0.0, 1), (0.5, 0), (0.9, 0)]


def test_a_certain_mistake_stays_finite() -> None:
    assert math.isfinite(judged([[1.0, 0.0]], [1], [0.0])["crossEntropy"])
