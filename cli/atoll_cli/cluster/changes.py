"""In what two versions of a job differ, and what of that may still change. Pure.

Compared is what they mean: a default that is written out is no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from atoll_api.spec import TrainingJob

Json = dict[str, Any]
_FREE: Final = (
    "spec.suspend",
    "spec.runPolicy.activeDeadlineSeconds",
    "spec.runPolicy.ttlSecondsAfterFinished",
)
_QUORUM: Final = "spec.islands.quorum"
_SHOWN_CHARACTERS: Final = 60
_SHOWN_DIFFERENCES: Final = 8


@dataclass(frozen=True)
class Difference:
    """One field that is another there than here."""

    path: str
    there: Any
    here: Any

    def __str__(self) -> str:
        """One line."""
        return f"{self.path} is {_shown(self.there)} there and {_shown(self.here)} here"


@dataclass(frozen=True)
class Changes:
    """What a job would have to become.

    Attributes:
        patch: of the fields that may change; empty for none.
        told: the same, for people.
        refused: the others.
    """

    patch: Json
    told: tuple[Difference, ...]
    refused: tuple[Difference, ...]

    @property
    def why_refused(self) -> str:
        """Which fields, and what to do."""
        shown = "; ".join(map(str, self.refused[:_SHOWN_DIFFERENCES]))
        rest = len(self.refused) - _SHOWN_DIFFERENCES
        return shown + (f"; and {rest} more" if rest > 0 else "")


def changes(there: TrainingJob, here: TrainingJob, written: Json) -> Changes:
    """What is to be done about the job that is there.

    Args:
        there: As the cluster has it.
        here: As it is wanted.
        written: What the user wrote of it. What may change later and is not mentioned stays as it
            is: a job that was suspended since is not set going by its old file.
    """
    found = [*_differences(_spec(there), _spec(here), "spec"), *_quorum(there, here)]
    mentioned = [it for it in found if it.path not in (*_FREE, _QUORUM) or _says(written, it.path)]
    told = tuple(it for it in mentioned if _may_change(it))
    refused = tuple(it for it in mentioned if not _may_change(it))
    metadata = tuple(_metadata(there, here))
    patch: Json = {}
    for it in (*told, *metadata):
        _put(patch, it)
    return Changes(patch, (*told, *metadata), refused)


def _spec(job: TrainingJob) -> Json:
    spec: Json = job.to_document()["spec"]
    spec["islands"].pop("quorum", None)  # by what it means: see `_quorum`
    return spec


def _quorum(there: TrainingJob, here: TrainingJob) -> Iterator[Difference]:
    """None is all of them; of another number of islands that is no news."""
    known, wanted = there.spec.islands, here.spec.islands
    same_islands = known.count == wanted.count
    if same_islands and known.required != wanted.required:
        yield Difference(_QUORUM, known.required, wanted.required)


def _may_change(it: Difference) -> bool:
    if it.path == _QUORUM:
        return bool(it.here < it.there)
    return it.path in _FREE


def _metadata(there: TrainingJob, here: TrainingJob) -> Iterator[Difference]:
    """Labels and annotations that the file names; others are none of its business."""
    for field in ("labels", "annotations"):
        known = getattr(there.metadata, field)
        for key, value in getattr(here.metadata, field).items():
            if known.get(key) != value:
                yield Difference(f"metadata.{field}.{key}", known.get(key), value)


def _differences(there: Any, here: Any, path: str) -> Iterator[Difference]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}")
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif there != here:
        yield Difference(path, there, here)


def _says(written: Json, path: str) -> bool:
    node: Any = written
    for part in path.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def _put(patch: Json, it: Difference) -> None:
    *parents, last = it.path.split(".", 2)
    node = patch
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = it.here


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
