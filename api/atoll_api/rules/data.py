"""Rules of where data come from, and of islands that bring their own."""

from collections.abc import Iterator

from atoll_api.base import closest, shown
from atoll_api.rules.finding import Finding
from atoll_api.spec.data import ISLAND_NUMBER, Data
from atoll_api.spec.job import TrainingJobSpec

TEXT_DATASETS = ("python-stdlib",)
"""Builtin datasets that are text; all others are arrays."""
BUILTIN_DATASETS = ("digits", *TEXT_DATASETS)
"""Datasets that come with Atoll; `atoll_worker.data.load` reads each."""

_BUILTIN = "builtin://"


def violations(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What cannot work."""
    for field, data in _named(spec):
        yield from _known_source(spec, field, data)
        yield from _image_size(field, data)
    yield from _overrides(spec)
    yield from _own_data(spec) if spec.partition.type == "PerIsland" else _one_dataset(spec)


def warnings(spec: TrainingJobSpec) -> Iterator[Finding]:
    """What works and is probably not wanted."""
    if spec.partition.type != "PerIsland" or spec.islands.count == 1:
        return
    sources = {spec.data_of(island).source for island in range(spec.islands.count)}
    if len(sources) == 1 and sources.pop().startswith(_BUILTIN):
        yield Finding(
            "data.source",
            "all islands bring the same data",
            "say file:// with {island} in the path, or islands.overrides[].data",
        )


def _named(spec: TrainingJobSpec) -> Iterator[tuple[str, Data]]:
    """All data that a job names, with their fields."""
    yield "data", spec.data
    if spec.evaluation.data is not None:
        yield "evaluation.data", spec.evaluation.data
    for number, override in enumerate(spec.islands.overrides):
        if override.data is not None:
            yield f"islands.overrides[{number}].data", override.data


def _known_source(spec: TrainingJobSpec, field: str, data: Data) -> Iterator[Finding]:
    name = data.source.removeprefix(_BUILTIN)
    if name == data.source:
        return
    text = spec.task.type == "Language"
    if name not in BUILTIN_DATASETS:
        guess = closest(name, list(BUILTIN_DATASETS))
        accepted = ", ".join(f"{_BUILTIN}{known}" for known in BUILTIN_DATASETS)
        yield Finding(
            f"{field}.source",
            f"no dataset {shown(name)} comes with Atoll; there are: {accepted}",
            f"did you mean {_BUILTIN}{guess}?" if guess else "say file:// for your own",
        )
    elif spec.task.type != "Custom" and (name in TEXT_DATASETS) != text:
        kind = "text" if name in TEXT_DATASETS else "no text"
        usable = "python-stdlib" if text else "digits"
        yield Finding(
            f"{field}.source",
            f"{data.source} is {kind}, which a {spec.task.type} task cannot train on",
            f"say {_BUILTIN}{usable}, or file:// for your own",
        )


def _image_size(field: str, data: Data) -> Iterator[Finding]:
    if data.image_size is not None and data.source.startswith(_BUILTIN):
        yield Finding(f"{field}.imageSize", "is only for folders of images", "leave it out")


def _overrides(spec: TrainingJobSpec) -> Iterator[Finding]:
    count, seen = spec.islands.count, set[int]()
    for number, override in enumerate(spec.islands.overrides):
        field = f"islands.overrides[{number}].island"
        if override.island >= count:
            hint = f"islands are 0 to {count - 1}"
            yield Finding(field, f"there is no island {override.island}", hint)
        if override.island in seen:
            yield Finding(field, f"island {override.island} stands twice", "name each once")
        seen.add(override.island)


def _own_data(spec: TrainingJobSpec) -> Iterator[Finding]:
    """Nobody sees the data of all islands: neither to route by them nor to train on them."""
    if spec.strategy.type == "ExpertEnsemble":
        yield Finding(
            "partition.type",
            "with PerIsland nobody sees all data, which routing among experts is learned from",
            "say strategy: {type: IterativeMerge} or {type: SingleMerge}",
        )
    if spec.baseline.enabled:
        yield Finding(
            "baseline.enabled",
            "with PerIsland nobody sees all data, which a baseline trains on",
            "leave it out",
        )
    shared = spec.evaluation.data
    if shared is None:
        yield Finding(
            "evaluation.data",
            "with PerIsland the merged model needs data to be judged on, which all may read",
            "say data: {source: file://...}",
        )
    elif ISLAND_NUMBER in shared.source:
        yield Finding(
            "evaluation.data.source",
            f"is the same for all, and has no {ISLAND_NUMBER}",
            "name one file or folder",
        )


def _one_dataset(spec: TrainingJobSpec) -> Iterator[Finding]:
    why = f"partition {spec.partition.type} divides one dataset among the islands"
    hint = "say partition: {type: PerIsland}"
    if ISLAND_NUMBER in spec.data.source:
        yield Finding("data.source", f"names {ISLAND_NUMBER}, but {why}", hint)
    if spec.evaluation.data is not None:
        yield Finding("evaluation.data", f"{why}, whose holdout judges", "leave it out")
    for number, override in enumerate(spec.islands.overrides):
        if override.data is not None:
            yield Finding(f"islands.overrides[{number}].data", why, hint)
