"""What a model is judged on: noise often enough, and what has no noise once."""

import torch

from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_api.spec.task import GptSettings, LanguageArchitecture
from atoll_api.spec.task import LanguageTask as LanguageSettings
from atoll_worker.data.part import Part
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.diffusion import DiffusionTask
from atoll_worker.tasks.language import LanguageTask
from atoll_worker.train.expert import judged_inputs


def rows(task: Task, part: Part) -> int:
    return sum(len(index_B) for _, index_B in judged_inputs(task, part, seed=0))


def test_a_small_part_is_corrupted_several_times() -> None:
    assert rows(DiffusionTask(DiffusionSettings()), Part(torch.zeros(100, 4), None)) == 41 * 100


def test_texts_are_read_once_as_nothing_is_drawn() -> None:
    architecture = LanguageArchitecture(type="GPT", gpt=GptSettings(context=16))
    task = LanguageTask(LanguageSettings(architecture=architecture))
    assert rows(task, Part(torch.zeros(1000, 16, dtype=torch.uint8), None)) == 1000
