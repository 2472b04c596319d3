"""The classification task: shapes, losses, measures, and what is refused."""

import math
from typing import Any

import pytest
import torch
from networks import NORMS, classifier
from torch import Tensor, nn

from atoll_api.spec.task import Task as TaskSpec
from atoll_worker.errors import BadDataError, BadTaskError, ContractError, WorkerError
from atoll_worker.tasks.base import Batch, Inputs, Measured, SampleSpec, Task
from atoll_worker.tasks.classification import ClassificationTask
from atoll_worker.tasks.registry import load_task
from atoll_worker.train.protocol_check import build_model, try_task

DIGITS = SampleSpec((1, 8, 8), 10)
KINDS = ("MLP", "CNN", "ResNet20")


def task(document: dict[str, Any] | None = None) -> ClassificationTask:
    loaded = load_task(TaskSpec.from_document(document or {"type": "Classification"}))
    assert isinstance(loaded, ClassificationTask)
    return loaded


def batch(count: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 1, 8, 8, generator=generator) * 2 - 1
    return Batch(x, torch.randint(10, (count,), generator=generator), 10)


def inputs(count: int = 5) -> Inputs:
    return task().corrupt(batch(count), torch.Generator())


def test_it_is_a_task_with_measures() -> None:
    assert isinstance(task(), Task)
    assert isinstance(task(), Measured)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_network_answers_with_probabilities_and_passes_the_protocol(
    kind: str, norm: str
) -> None:
    subject = task(classifier(kind, norm))
    model = build_model(subject, DIGITS, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given, flops = try_task(subject, model, batch())
    predicted = subject.predict(model, given)
    assert predicted.shape == given.target_BD.shape == (5, 10)
    assert torch.allclose(predicted.sum(dim=1), torch.ones(5))
    assert flops > 0
    model = build_model(subject, DIGITS, seed=0)
    try_task(subject, model, batch())
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_alone_is_answered_as_among_others(kind: str, norm: str) -> None:
    subject = task(classifier(kind, norm))
    model = build_model(subject, DIGITS, seed=0).eval()
    many, one = inputs(4), inputs(1)
    with torch.no_grad():
        together = subject.predict(model, Inputs(one.x_BD.expand(4, 1, 8, 8), *others(many)))
        assert torch.allclose(subject.predict(model, one)[0], together[2], atol=1e-6)


def others(given: Inputs) -> tuple[Tensor, Tensor, None]:
    return given.target_BD, given.time_B, None


def test_resnet20_has_twenty_layers_and_the_size_of_the_paper() -> None:
    model = task(classifier("ResNet20")).build_model(SampleSpec((3, 32, 32), 10))
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [m for m in weighted if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(weighted) - len(shortcuts) == 20
    assert len(shortcuts) == 2
    assert 0.27e6 < sum(p.numel() for p in model.parameters()) < 0.28e6


def test_the_loss_is_the_cross_entropy_and_finite_however_wrong() -> None:
    given = inputs(1)
    certain = 1 - given.target_BD
    assert task().losses(given.target_BD, given).item() == 0
    assert task().losses(torch.full((1, 10), 0.1), given).item() == pytest.approx(math.log(10))
    assert task().losses(certain / certain.sum(), given).item() == pytest.approx(87.3, abs=0.1)


def test_a_sample_that_is_very_wrong_still_teaches() -> None:
    logits = torch.zeros(1, 10).index_fill(1, torch.tensor([3]), 60.0).requires_grad_()
    given = Inputs(logits, torch.eye(10)[:1], torch.zeros(1), None)
    loss = task().losses(task().predict(nn.Identity(), given), given).sum()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(60.0, abs=1e-3)
    assert gradient[0, 0].item() == pytest.approx(-1.0, abs=1e-3)
    assert gradient[0, 3].item() == pytest.approx(1.0, abs=1e-3)


def test_accuracy_counts_who_is_right() -> None:
    given = Inputs(torch.zeros(3, 1), torch.eye(3), torch.zeros(3), None)
    predicted = torch.tensor([[0.6, 0.2, 0.2], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]])
    assert task().measures(predicted, given)["accuracy"].tolist() == [1.0, 0.0, 1.0]


def test_data_without_labels_are_refused() -> None:
    with pytest.raises(BadDataError, match="the data have no labels"):
        task().build_model(SampleSpec((1, 8, 8), 0))
    with pytest.raises(BadDataError, match="add an array `y`"):
        task().corrupt(Batch(torch.zeros(2, 4), None), torch.Generator())


@pytest.mark.parametrize(
    ("document", "shape", "error", "message"),
    [
        (classifier("CNN"), (64,), ContractError, "a CNN needs samples of shape"),
        (classifier("ResNet20"), (64,), ContractError, "a ResNet20 needs samples of shape"),
        (classifier("CNN", cnn={"depth": 5}), (1, 8, 8), ContractError, "depth is 5, which halves"),
        (classifier("MLP", "GroupNorm", mlp={"width": 12}), (4,), BadTaskError, "the width 12"),
        (classifier("CNN", "GroupNorm", cnn={"width": 9}), (1, 8, 8), BadTaskError, "the width 9"),
    ],
)
def test_a_network_that_does_not_fit_says_what_to_change(
    document: dict[str, Any], shape: tuple[int, ...], error: type[WorkerError], message: str
) -> None:
    with pytest.raises(error, match=message):
        task(document).build_model(SampleSpec(shape, 10))


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_odd_size_and_colour_are_taken(kind: str) -> None:
    subject = task(classifier(kind))
    sample = SampleSpec((3, 9, 7), 4)
    given = subject.corrupt(
        Batch(torch.randn(3, 3, 9, 7), torch.tensor([0, 3, 1]), 4), torch.Generator()
    )
    assert subject.predict(build_model(subject, sample, 0), given).shape == (3, 4)


def test_the_contract_leaves_networks_free() -> None:
    assert task().contract() == task(classifier("CNN", "None")).contract()
    assert task().contract()["task"] == "Classification"
