"""Documents of TrainingJobs by chance: right ones, nearly right ones, and nonsense."""

import copy
import functools
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from builders import FULL_TEMPLATE, SMALLEST, job_document
from damage import altered, nonsense
from drawing import drawing
from ruamel.yaml import YAML
from shown_jobs import ROOT, document_of, shown_jobs
from written_jobs import documents, each_value

from atoll_api.spec import Metadata, TrainingJobSpec

Document = dict[str, Any]
_MERGING: Final[Document] = {
    "task": {"type": "Classification"},
    "strategy": {"type": "IterativeMerge"},
}
_drawn_spec = drawing(documents(TrainingJobSpec))
"""Breaks no rule of a field, though rules across fields."""


def drawn_job(random: Random) -> Any:
    """One document; about half of them are right."""
    way = random.randrange(20)
    if way == 0:
        return nonsense(random)
    if way < 4:
        spec = _drawn_spec(random)
        return {**copy.deepcopy(SMALLEST), "spec": spec}
    found = _grafted(random)
    return altered(random, found, _values()) if way < 9 else found


@functools.cache
def written_jobs() -> Sequence[Document]:
    """Those of the examples, of the documentation, and of tests."""
    yaml = YAML(typ="safe")
    examples = [yaml.load(it.read_text()) for it in sorted((ROOT / "examples").glob("*.yaml"))]
    shown = [document_of(it) for it in shown_jobs().values()]
    own = (
        SMALLEST,
        job_document(template=FULL_TEMPLATE),
        job_document(**_MERGING),
        job_document(**{**_MERGING, "strategy": {"type": "SingleMerge"}}),
        job_document(task={"type": "Language"}, data={"source": "builtin://stdlib"}),
    )
    found = [it for it in (*examples, *shown, *own) if it.get("kind") == "TrainingJob"]
    return [json.loads(json.dumps(it)) for it in found]


def _grafted(random: Random) -> Document:
    """A right job with up to four values at the edges of what a field takes."""
    found = copy.deepcopy(random.choice(written_jobs()))
    for _ in range(random.choice((0, 1, 1, 2, 2, 4))):
        _join(found["spec"], copy.deepcopy(random.choice(_changes())))
    if random.random() < 0.1:
        found["metadata"] = copy.deepcopy(random.choice(list(each_value(Metadata))))
    return found


@functools.cache
def _changes() -> Sequence[Document]:
    least, *others = each_value(TrainingJobSpec)
    return [{key: it[key] for key in it if it[key] != least.get(key)} for it in others]


@functools.cache
def _values() -> Sequence[Any]:
    """What stands somewhere in a job."""
    return [value for it in _changes() for value in it.values()]


def _join(target: Document, change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        known = target.get(key)
        if (
            isinstance(known, dict)
            and isinstance(value, dict)
            and known.get("type") == value.get("type", known.get("type"))
        ):
            _join(known, value)
        else:
            target[key] = value
