"""What merging has to know of a job's network: which units are alike, and its norm statistics."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from atoll_api.spec.merging import Align
from atoll_api.work_order import IslandOrder
from atoll_worker import device
from atoll_worker.data.dataset import Dataset
from atoll_worker.data.part import Part
from atoll_worker.merge.align import align
from atoll_worker.merge.norm_statistics import norm_statistics, reestimate
from atoll_worker.merge.permute import permute
from atoll_worker.merge.probe import Probe, gaussian_probe, sample_probe
from atoll_worker.merge.repair import Spread, average_spreads, repair, spreads
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.structure import declared_structure
from atoll_worker.train.expert import probe_batch
from atoll_worker.train.initial import initial_model
from atoll_worker.train.merging import Move
from atoll_worker.train.seeds import derive

_BATCHES = 32
"""Of own samples that norm statistics are measured on (arXiv 2507.06542: 32 batches)."""


class TaskNetwork:
    """Implements `merging.Network` by the job's task and an island's own data."""

    def __init__(self, order: IslandOrder, task: Task, dataset: Dataset, part: Part) -> None:
        self._order = order
        self._task = task
        self._part = part
        self._model = initial_model(task, dataset, order.seed)
        iterative = order.merging.iterative if order.merging else None
        self._align = iterative.alignment if iterative else Align()

    def move(self, reference: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Move:
        """See `merging.Network.move`.

        Raises:
            BadTaskError: the network declares no structure.
            ContractError: the weights are not of this network.
        """
        seed = self._order.seed
        found = align(self._model, reference, own, self._align, self._probe(), seed)
        structure = declared_structure(self._model)
        return lambda tensors: permute(tensors, structure, found.permutations)

    def spreads(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Spread]:
        """See `merging.Network.spreads`."""
        self._model.load_state_dict(dict(tensors))
        return spreads(self._model, declared_structure(self._model), self._probe())

    def repaired(
        self, merged: Mapping[str, Tensor], ends: Sequence[tuple[Mapping[str, Spread], float]]
    ) -> dict[str, Tensor]:
        """See `merging.Network.repaired`."""
        structure = declared_structure(self._model)
        goal = average_spreads([spread for spread, _ in ends], [share for _, share in ends])
        self._model.load_state_dict(dict(merged))
        found: dict[str, Tensor] = repair(self._model, structure, goal, self._probe()).state_dict()
        return found

    def reestimate(self, model: nn.Module) -> None:
        """See `merging.Network.reestimate`: the same batches each time."""
        generator = torch.Generator().manual_seed(
            derive(self._order.seed, "norm-statistics", self._order.island)
        )
        size = self._order.training.batch_size_per_island
        batches = (self._part.draw(size, generator)[0] for _ in range(_BATCHES))
        inputs = (device.follow(self._task.corrupt(it, generator), model) for it in batches)
        with device.placed(model):
            reestimate(model, inputs, self._task.predict)

    def statistics(self, model: nn.Module) -> dict[str, Tensor]:
        """Norm statistics of a model by name; none for networks without."""
        return norm_statistics(model)

    def _probe(self) -> Probe:
        settings, seed = self._align.probe, self._order.seed
        like = probe_batch(self._part, settings.samples)
        if settings.type == "OwnSamples":
            return sample_probe(self._task, like, seed)
        return gaussian_probe(self._task, like, settings.samples, seed)
