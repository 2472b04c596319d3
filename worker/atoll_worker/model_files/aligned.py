"""Models that were initialized apart: the others get the first one's order of units, then all merge.

Permuted copies stand in for the others while files are merged. Networks are held whole, two at a
time: unlike the other methods this one has to ask them.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from safetensors.torch import load_file, save_file
from torch import Tensor

from atoll_api.spec import TrainingJobSpec
from atoll_api.spec.merging import Align
from atoll_worker.data.load import load
from atoll_worker.data.part import Part
from atoll_worker.merge.align import align
from atoll_worker.merge.permute import permute
from atoll_worker.merge.probe import Probe, gaussian_probe, sample_probe
from atoll_worker.model_files import contents
from atoll_worker.model_files.source import Stored, files_of, opened
from atoll_worker.tasks.base import Task
from atoll_worker.tasks.registry import load_task
from atoll_worker.tasks.structure import declared_structure
from atoll_worker.train.expert import probe_batch
from atoll_worker.train.fit import require_fit
from atoll_worker.train.initial import initial_model


@dataclass(frozen=True)
class StandIn:
    """What is read in place of a model."""

    path: Path
    digest: str
    """Of the model that it stands in for; see `contents.digest_of`."""


@contextmanager
def stand_ins(
    models: Sequence[Path], spec: TrainingJobSpec, beside: Path
) -> Iterator[Mapping[Path, StandIn]]:
    """Permuted copies of all models but the first, for as long as the context lasts.

    Args:
        models: of the job's task, the reference first.
        spec: of the job that they were trained by: task, data, and how to align.
        beside: a file beside which the copies are kept.

    Raises:
        BadDataError: a file, or the job's data, cannot be read.
        BadTaskError: the job's network does not say which of its units are interchangeable.
        ContractError: a model is not of the job's network.
    """
    task, dataset = load_task(spec.task), load(spec.data, spec.task.context)
    model = initial_model(task, dataset, spec.seed)
    iterative = spec.strategy.iterative_merge
    settings = iterative.alignment if iterative else Align()
    probe = _probe(task, Part.of(dataset, dataset.train), settings, spec.seed)
    expected = model.state_dict()
    reference = _floats(_tensors(models[0], expected))
    found: dict[Path, StandIn] = {}
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f".{beside.name}.") as folder:
        for number, path in enumerate(models[1:]):
            tensors = _tensors(path, expected)
            aligned = align(model, reference, _floats(tensors), settings, probe, spec.seed)
            moved = permute(tensors, declared_structure(model), aligned.permutations)
            copy = Path(folder, f"{number}.safetensors")
            save_file({name: it.contiguous() for name, it in moved.items()}, copy)
            found[path] = StandIn(copy, _digest(path))
        yield found


def _probe(task: Task, part: Part, settings: Align, seed: int) -> Probe:
    like = probe_batch(part, settings.probe.samples)
    if settings.probe.type == "OwnSamples":
        return sample_probe(task, like, seed)
    return gaussian_probe(task, like, settings.probe.samples, seed)


def _tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a model, which may be of another float type than the network's."""
    with opened(path):  # says in our words what is wrong with a file
        tensors = {name: it for file in files_of(path) for name, it in load_file(file).items()}
    require_fit(expected, _floats(tensors), str(path))
    return tensors


def _floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: it.float() if it.is_floating_point() else it for n, it in tensors.items()}


def _digest(path: Path) -> str:
    with opened(path) as model:
        named = {name: (it.form, _hex(it)) for name, it in model.tensors.items()}
    return contents.digest_of(named)


def _hex(stored: Stored) -> str:
    size = stored.form.size_bytes
    return blake3(os.pread(stored.descriptor, size, stored.offset_bytes)).hexdigest()
