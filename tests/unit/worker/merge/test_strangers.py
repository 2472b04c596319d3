"""Averages of networks that were trained apart: what alignment and REPAIR are for, on digits."""

import copy
from functools import cache

import torch
from networks import classifier
from torch import Tensor, nn
from training import DIGITS

from atoll_api.spec.merging import Align
from atoll_api.spec.task import Task as TaskSpec
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.merge.align import align
from atoll_worker.merge.norm_statistics import (
    average_statistics,
    load_statistics,
    norm_statistics,
    reestimate,
)
from atoll_worker.merge.probe import gaussian_probe
from atoll_worker.merge.repair import average_spreads, repair, spreads
from atoll_worker.tasks.classification import ClassificationTask
from atoll_worker.tasks.registry import load_task
from atoll_worker.tasks.structure import declared_structure
from atoll_worker.train.protocol_check import build_model

ISLANDS = 3
WEIGHTS = Align(type="WeightMatching")


class World:
    """Islands with a third of the digits each, trained from weights of their own."""

    def __init__(self, norm: str, depth: int = 2, *, shared: bool = False) -> None:
        document = classifier("MLP", norm, mlp={"width": 64, "depth": depth})
        task = load_task(TaskSpec.from_document(document))
        assert isinstance(task, ClassificationTask)
        data = load(DIGITS)
        self.task = task
        self.holdout = Part.of(data, data.holdout)
        self.parts = [Part.of(data, data.train[at::ISLANDS]) for at in range(ISLANDS)]
        self.models = [
            self._trained(build_model(task, data.sample, 0 if shared else at), at)
            for at in range(ISLANDS)
        ]

    def accuracy(self, model: nn.Module) -> float:
        rows = torch.arange(len(self.holdout))
        inputs = self.task.corrupt(self.holdout.rows(rows), torch.Generator())
        with torch.no_grad():
            predicted = self.task.predict(model.eval(), inputs)
        return float(self.task.measures(predicted, inputs)["accuracy"].mean())

    def aligned(self, settings: Align | None) -> list[dict[str, Tensor]]:
        """The islands' weights in the basis of the first; as they are without settings."""
        states = [dict(model.state_dict()) for model in self.models]
        if settings is None:
            return states
        probe = gaussian_probe(self.task, self.parts[0].rows(torch.arange(1)), 128, 0)
        model = self.models[0]
        return [states[0]] + [
            align(model, states[0], other, settings, probe, 0).tensors for other in states[1:]
        ]

    def mean(self, states: list[dict[str, Tensor]]) -> nn.Module:
        model = copy.deepcopy(self.models[0])
        model.load_state_dict(
            {name: torch.stack([s[name].float() for s in states]).mean(0) for name in states[0]}
        )
        return model

    def _trained(self, model: nn.Module, island: int) -> nn.Module:
        generator = torch.Generator().manual_seed(island)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(120):
            batch, _ = self.parts[island].draw(32, generator)
            inputs = self.task.corrupt(batch, generator)
            optimizer.zero_grad()
            loss = self.task.losses(self.task.predict(model, inputs), inputs).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return model


@cache
def world(norm: str, depth: int = 2) -> World:
    return World(norm, depth)


def test_aligned_strangers_average_well_and_unaligned_ones_do_not() -> None:
    subject = world("None")
    plain, by_activations, by_weights = (
        subject.accuracy(subject.mean(subject.aligned(settings)))
        for settings in (None, Align(), WEIGHTS)
    )
    assert plain < 0.6
    assert by_activations > plain + 0.2
    assert by_weights > plain + 0.2


def test_islands_that_began_alike_need_no_alignment() -> None:
    subject = World("None", shared=True)
    plain = subject.accuracy(subject.mean(subject.aligned(None)))
    stranger = world("None")
    assert plain > stranger.accuracy(stranger.mean(stranger.aligned(Align())))


def test_repair_gives_deep_averages_their_accuracy_back() -> None:
    subject = world("None", depth=5)
    states = subject.aligned(Align())
    merged, structure = subject.mean(states), declared_structure(subject.models[0])
    probe = gaussian_probe(subject.task, subject.parts[0].rows(torch.arange(1)), 128, 0)
    goal = average_spreads(
        [spreads(subject.mean([state]), structure, probe) for state in states], [1] * ISLANDS
    )
    repaired = repair(merged, structure, goal, probe)
    assert subject.accuracy(repaired) > subject.accuracy(merged) + 0.02


def test_statistics_measured_by_each_island_serve_the_merged_network() -> None:
    subject = world("BatchNorm")
    merged = subject.mean(subject.aligned(WEIGHTS))
    before, measured = subject.accuracy(merged), []
    for part in subject.parts:
        own = copy.deepcopy(merged)
        rows = torch.split(torch.arange(len(part)), 64)
        batches = [subject.task.corrupt(part.rows(it), torch.Generator()) for it in rows]
        reestimate(own, batches, subject.task.predict)
        measured.append(norm_statistics(own))
    load_statistics(merged, average_statistics(measured, [1] * ISLANDS))
    assert subject.accuracy(merged) >= before
