"""A probe is noise in the task's own terms, the same everywhere."""

from typing import Any

import pytest
import torch
from networks import classifier

from atoll_api.spec.task import Task as TaskSpec
from atoll_worker.merge.probe import gaussian_probe, sample_probe
from atoll_worker.tasks.base import Batch, Task
from atoll_worker.tasks.registry import load_task

CONDITIONED: dict[str, Any] = {"type": "Diffusion", "diffusion": {"conditioning": "Class"}}
LIKE = Batch(torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64), 10)


def task(document: dict[str, Any]) -> Task:
    return load_task(TaskSpec.from_document(document))


@pytest.mark.parametrize("document", [{"type": "Diffusion"}, CONDITIONED, classifier("MLP")])
def test_a_probe_is_a_function_of_the_seed(document: dict[str, Any]) -> None:
    one, same, other = (gaussian_probe(task(document), LIKE, 300, seed) for seed in (1, 1, 2))
    assert one.inputs.x_BD.shape == (300, 1, 8, 8)
    assert torch.equal(one.inputs.x_BD, same.inputs.x_BD)
    assert not torch.equal(one.inputs.x_BD, other.inputs.x_BD)


def test_a_condition_is_drawn_from_all_classes_and_times_from_all_noise_levels() -> None:
    inputs = gaussian_probe(task(CONDITIONED), LIKE, 300, 0).inputs
    assert inputs.label_B is not None
    assert set(inputs.label_B.tolist()) == set(range(10))
    assert inputs.time_B.min() < 0.1
    assert inputs.time_B.max() > 0.9


def test_chunks_are_the_whole_in_order() -> None:
    probe = gaussian_probe(task(CONDITIONED), LIKE, 300, 0)
    chunks = list(probe.chunks())
    assert [len(chunk.x_BD) for chunk in chunks] == [60] * 5
    assert torch.equal(torch.cat([chunk.x_BD for chunk in chunks]), probe.inputs.x_BD)
    assert torch.equal(torch.cat([chunk.time_B for chunk in chunks]), probe.inputs.time_B)


def test_data_without_labels_have_a_probe_without_labels() -> None:
    like = Batch(torch.zeros(1, 5), None)
    assert gaussian_probe(task({"type": "Diffusion"}), like, 20, 0).inputs.x_BD.shape == (20, 5)


def test_tokens_are_drawn_from_all_bytes() -> None:
    seen: list[Batch] = []

    class Tokens:
        predict = None

        def corrupt(self, *given: Any) -> None:
            seen.append(given[0])

    subject: Any = Tokens()
    gaussian_probe(subject, Batch(torch.zeros(1, 16, dtype=torch.uint8), None), 512, 0)
    assert seen[0].x_BD.dtype == torch.uint8
    assert set(seen[0].x_BD.flatten().tolist()) == set(range(256))


def test_own_samples_are_corrupted_as_in_training() -> None:
    batch = Batch(torch.ones(4, 1, 8, 8), torch.arange(4), 10)
    assert torch.equal(sample_probe(task(classifier("MLP")), batch, 0).inputs.x_BD, batch.x_BD)
    assert not torch.equal(sample_probe(task(CONDITIONED), batch, 0).inputs.x_BD, batch.x_BD)
