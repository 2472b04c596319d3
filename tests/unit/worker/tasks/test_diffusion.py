"""The diffusion task: shapes, conditions, and settings that are refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atoll_api.spec.task import DiffusionTask as DiffusionSettings
from atoll_worker.errors import BadDataError, BadTaskError, ContractError, WorkerError
from atoll_worker.tasks.base import Batch, Inputs, SampleSpec, Task
from atoll_worker.tasks.diffusion import DiffusionTask
from atoll_worker.tasks.diffusion.dit import DiT, positions

DIGITS = SampleSpec((1, 8, 8), 10)


def task(document: dict[str, Any] | None = None) -> DiffusionTask:
    return DiffusionTask(DiffusionSettings.from_document(document or {}))


def dit(**settings: int) -> dict[str, Any]:
    return {"architecture": {"type": "DiT", "dit": settings}}


def built(subject: DiffusionTask, sample: SampleSpec = DIGITS) -> nn.Module:
    torch.manual_seed(0)
    return subject.build_model(sample)


def batch(count: int = 5, label_B: Tensor | None = None) -> Batch:
    return Batch(torch.rand(count, 1, 8, 8) * 2 - 1, label_B)


def test_it_is_a_task() -> None:
    assert isinstance(task(), Task)


def test_the_mlp_of_the_measurements_has_their_size() -> None:
    assert sum(p.numel() for p in built(task()).parameters()) == 54_592


@pytest.mark.parametrize("document", [{}, dit()])
def test_a_model_answers_in_the_shape_of_the_sample(document: dict[str, Any]) -> None:
    subject = task(document)
    inputs = subject.corrupt(batch(), torch.Generator().manual_seed(0))
    predicted = subject.predict(built(subject), inputs)
    assert predicted.shape == inputs.target_BD.shape == (5, 1, 8, 8)
    assert subject.losses(predicted, inputs).shape == (5,)


def test_corruption_is_a_function_of_batch_and_generator() -> None:
    x = batch()
    one, same, other = (
        task().corrupt(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.x_BD, same.x_BD)
    assert torch.equal(one.time_B, same.time_B)
    assert not torch.equal(one.x_BD, other.x_BD)


def test_the_loss_of_the_target_is_zero_and_of_anything_else_is_not() -> None:
    subject = task()
    inputs = subject.corrupt(batch(), torch.Generator().manual_seed(0))
    assert subject.losses(inputs.target_BD, inputs).max() == 0
    assert subject.losses(inputs.target_BD + 1, inputs).tolist() == pytest.approx([1.0] * 5)


def test_labels_reach_the_model_only_when_it_is_conditioned() -> None:
    labelled = batch(3, torch.tensor([1, 2, 3]))
    generator = torch.Generator().manual_seed(0)
    assert task().corrupt(labelled, generator).label_B is None
    told = task({"conditioning": "Class"}).corrupt(labelled, generator).label_B
    assert told is not None
    assert told.tolist() == [1, 2, 3]


@pytest.mark.parametrize("document", [{"conditioning": "Class"}, dit() | {"conditioning": "Class"}])
def test_a_conditioned_model_tells_classes_apart_once_trained_to(document: dict[str, Any]) -> None:
    subject = task(document)
    model = built(subject)
    for parameter in model.parameters():  # DiT starts at zero: move it off
        nn.init.normal_(parameter, std=0.3)
    x, time = torch.zeros(2, 1, 8, 8), torch.full((2,), 0.5)
    inputs = Inputs(x, x, time, torch.tensor([0, 9]))
    first, second = subject.predict(model, inputs)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("document", [{}, dit(), {"conditioning": "Class"}])
def test_a_time_that_all_samples_share_is_embedded_once_with_the_same_answer(
    document: dict[str, Any],
) -> None:
    subject = task(document)
    model = built(subject)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    x, shared = torch.randn(4, 1, 8, 8), torch.tensor(0.3).expand(4)
    label = torch.arange(4) if subject.conditioned else None
    one = subject.predict(model, Inputs(x, x, shared, label))
    each = subject.predict(model, Inputs(x, x, shared.clone(), label))
    assert one.shape == x.shape
    assert torch.allclose(one, each, rtol=1e-3, atol=1e-5)


def test_conditioning_on_labels_that_are_not_there_is_refused() -> None:
    subject = task({"conditioning": "Class"})
    with pytest.raises(BadDataError, match="the data have no labels"):
        subject.build_model(SampleSpec((1, 8, 8), 0))
    with pytest.raises(BadDataError, match="set conditioning to None"):
        subject.corrupt(batch(), torch.Generator())


@pytest.mark.parametrize(
    ("settings", "shape", "error", "message"),
    [
        ({"width": 64, "heads": 5}, (1, 8, 8), BadTaskError, "heads is 5"),
        ({"width": 10, "heads": 2}, (1, 8, 8), BadTaskError, "multiple of 4"),
        ({"patchSize": 3}, (1, 8, 8), ContractError, "patchSize is 3"),
        ({}, (64,), ContractError, "use architecture MLP"),
    ],
)
def test_a_dit_that_does_not_fit_says_what_to_change(
    settings: dict[str, int], shape: tuple[int, ...], error: type[WorkerError], message: str
) -> None:
    with pytest.raises(error, match=message):
        task(dit(**settings)).build_model(SampleSpec(shape, 0))


def test_a_dit_begins_at_zero_and_its_patches_undo_themselves() -> None:
    model = built(task(dit()))
    assert isinstance(model, DiT)
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(model.image(model.patches(images)), images)
    assert model(images, torch.rand(3)).abs().max() == 0


def test_positions_tell_rows_and_columns_apart() -> None:
    table = positions(4, 4, 16)
    assert table.shape == (16, 16)
    assert torch.cdist(table, table).fill_diagonal_(1).min() > 0.1


def test_the_contract_changes_with_what_experts_must_share_and_with_nothing_else() -> None:
    assert task().contract() == task(dit()).contract()
    assert task().contract() != task({"path": "Cosine"}).contract()
    assert task().contract() != task({"conditioning": "Class"}).contract()


def test_what_is_computed_from_the_settings_is_not_published() -> None:
    assert not [name for name in built(task(dit())).state_dict() if "position" in name]
    assert not [name for name in built(task()).state_dict() if "frequency" in name]
